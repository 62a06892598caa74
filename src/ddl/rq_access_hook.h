/*
 * rq_access_hook.h
 *	  Notice what happens to topics in the catalogs.
 */
#ifndef RQ_ACCESS_HOOK_H
#define RQ_ACCESS_HOOK_H


extern void rq_access_hook_install(void);

#endif							/* RQ_ACCESS_HOOK_H */
