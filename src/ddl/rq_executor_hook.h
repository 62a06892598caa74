/*
 * rq_executor_hook.h
 *	  Refuse statements that would change messages, before they run.
 */
#ifndef RQ_EXECUTOR_HOOK_H
#define RQ_EXECUTOR_HOOK_H


/* Install the executor hooks; called once, when the library is loaded. */
extern void rq_executor_hook_install(void);

#endif							/* RQ_EXECUTOR_HOOK_H */
