/*
 * rq_utility_hook.h
 *	  VACUUM and ANALYZE of topics.
 */
#ifndef RQ_UTILITY_HOOK_H
#define RQ_UTILITY_HOOK_H


/* Install the utility hook; called once, when the library is loaded. */
extern void rq_utility_hook_install(void);

#endif							/* RQ_UTILITY_HOOK_H */
