/*
 * rq_guc.h
 *	  The settings of rocketq.
 */
#ifndef RQ_GUC_H
#define RQ_GUC_H

extern int	rq_segment_size_mb;
extern int	rq_max_topics;
extern int	rq_max_queues;
extern int	rq_max_groups;
extern int	rq_max_consumer_slots;
extern int	rq_max_message_size;
extern int	rq_default_queues;
extern int	rq_preallocate_segments;
extern int	rq_keeper_interval_ms;
extern int	rq_flush_delay_ms;	/* -1 = never */
extern bool rq_ignore_missing_files;
extern int	rq_janitor_interval_ms;
extern int	rq_retention_time_s;
extern bool rq_track_latency;

/* fair shares */
extern int	rq_max_groups_per_topic;
extern int	rq_max_queues_per_topic;
extern int	rq_max_consumer_slots_per_topic;
extern bool rq_auto_create_groups;
extern int	rq_group_expire_time_s; /* -1 = never */

/* retention, the disk, the server log */
extern int	rq_retention_size_mb;
extern bool rq_keep_unconsumed;
extern int	rq_max_kept_size_mb;
extern int	rq_group_idle_timeout_s;
extern int	rq_disk_warn_percent;
extern int	rq_disk_trim_percent;
extern int	rq_disk_refuse_percent;
extern bool rq_log_store;
extern int	rq_log_slow_sync_ms;

extern void rq_guc_define(void);

#endif							/* RQ_GUC_H */
