/*
 * rq_access_hook.h
 *	  Track what happens to topics in the catalogs.
 */
#ifndef RQ_ACCESS_HOOK_H
#define RQ_ACCESS_HOOK_H


/* Install the object access hook; called once, when the library is loaded. */
extern void rq_access_hook_install(void);

#endif							/* RQ_ACCESS_HOOK_H */
