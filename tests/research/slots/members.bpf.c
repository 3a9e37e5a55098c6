/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * members: every callback of sched_ext_ops as nothing but a tail call, to ask the verifier about each by itself. Those
 * that may sleep are here twice, as a program that may not and, in the second struct_ops, as one that may.
 */
#include "slots.bpf.h"

char _license[] SEC("license") = "GPL";

#define MEMBER(kind, prefix, type, callback)						\
	SLOT_ARRAY(prefix##callback);							\
											\
	SEC(kind "/" #prefix #callback)							\
	type prefix##callback(unsigned long long *ctx)					\
	{										\
		bpf_tail_call_static(ctx, &prefix##callback##_slots, 0);		\
		return (type)0;								\
	}

#define PLAIN(type, callback) MEMBER("struct_ops", plain_, type, callback)
#define BOTH(type, callback)								\
	PLAIN(type, callback)								\
	MEMBER("struct_ops.s", sleepable_, type, callback)

PLAIN(s32, select_cpu)
PLAIN(void, enqueue)
PLAIN(void, dequeue)
PLAIN(void, dispatch)
PLAIN(void, tick)
PLAIN(void, runnable)
PLAIN(void, running)
PLAIN(void, stopping)
PLAIN(void, quiescent)
PLAIN(bool, yield)
PLAIN(bool, core_sched_before)
PLAIN(void, set_weight)
PLAIN(void, set_cpumask)
PLAIN(void, update_idle)
BOTH(s32, init_task)
PLAIN(void, exit_task)
PLAIN(void, enable)
PLAIN(void, disable)
PLAIN(void, dump)
PLAIN(void, dump_cpu)
PLAIN(void, dump_task)
BOTH(s32, cgroup_init)
BOTH(void, cgroup_exit)
BOTH(s32, cgroup_prep_move)
PLAIN(void, cgroup_move)
PLAIN(void, cgroup_cancel_move)
BOTH(void, cgroup_set_weight)
BOTH(void, cgroup_set_bandwidth)
BOTH(void, cgroup_set_idle)
BOTH(void, cpu_online)
BOTH(void, cpu_offline)
BOTH(s32, init)
BOTH(void, exit)
PLAIN(void, cpu_acquire)
PLAIN(void, cpu_release)
BOTH(s32, sub_attach)
BOTH(void, sub_detach)

#define SETS(prefix, callback) .callback = (void *)prefix##callback

SCX_OPS(plain_ops) = {
	SETS(plain_, select_cpu),
	SETS(plain_, enqueue),
	SETS(plain_, dequeue),
	SETS(plain_, dispatch),
	SETS(plain_, tick),
	SETS(plain_, runnable),
	SETS(plain_, running),
	SETS(plain_, stopping),
	SETS(plain_, quiescent),
	SETS(plain_, yield),
	SETS(plain_, core_sched_before),
	SETS(plain_, set_weight),
	SETS(plain_, set_cpumask),
	SETS(plain_, update_idle),
	SETS(plain_, init_task),
	SETS(plain_, exit_task),
	SETS(plain_, enable),
	SETS(plain_, disable),
	SETS(plain_, dump),
	SETS(plain_, dump_cpu),
	SETS(plain_, dump_task),
	SETS(plain_, cgroup_init),
	SETS(plain_, cgroup_exit),
	SETS(plain_, cgroup_prep_move),
	SETS(plain_, cgroup_move),
	SETS(plain_, cgroup_cancel_move),
	SETS(plain_, cgroup_set_weight),
	SETS(plain_, cgroup_set_bandwidth),
	SETS(plain_, cgroup_set_idle),
	SETS(plain_, cpu_online),
	SETS(plain_, cpu_offline),
	SETS(plain_, init),
	SETS(plain_, exit),
	SETS(plain_, cpu_acquire),
	SETS(plain_, cpu_release),
	SETS(plain_, sub_attach),
	SETS(plain_, sub_detach),
	.name = "members",
};

SCX_OPS(sleepable_ops) = {
	SETS(sleepable_, init_task),
	SETS(sleepable_, cgroup_init),
	SETS(sleepable_, cgroup_exit),
	SETS(sleepable_, cgroup_prep_move),
	SETS(sleepable_, cgroup_set_weight),
	SETS(sleepable_, cgroup_set_bandwidth),
	SETS(sleepable_, cgroup_set_idle),
	SETS(sleepable_, cpu_online),
	SETS(sleepable_, cpu_offline),
	SETS(sleepable_, init),
	SETS(sleepable_, exit),
	SETS(sleepable_, sub_attach),
	SETS(sleepable_, sub_detach),
	.name = "members_s",
};
