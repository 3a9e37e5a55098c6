/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * qmap: five weighted FIFO queues, with the tasks' contexts in an arena slab. A policy that uses most of what sched_ext
 * offers. README.md explains it; the headers beside this file hold it, each one a topic and built on the one before:
 *
 *	options, tasks (slab), cpus, queues, enqueue, highpri, dispatch, then timers, cgroups, cids, dump
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

#include "options.bpf.h"
#include "tasks.bpf.h"
#include "cpus.bpf.h"
#include "queues.bpf.h"
#include "enqueue.bpf.h"
#include "highpri.bpf.h"
#include "dispatch.bpf.h"
#include "timers.bpf.h"
#include "cgroups.bpf.h"
#include "cids.bpf.h"
#include "dump.bpf.h"

char _license[] SEC("license") = "GPL";

SCX_EXIT_INFO(uei);

/* The object may have been attached before: nothing of that may stay. */
static void reset(void)
{
	u32 index;
	u32 cpu;

	scx_exit_info_reset(uei);
	queues_drain();
	bpf_for(index, 0, QMAP_QUEUES) {
		qa.core_sched_head_seqs[index] = 0;
		qa.core_sched_tail_seqs[index] = 0;
	}
	qa.highpri_queued = 0;
	bpf_for(cpu, 0, nr_cpus()) {
		cpu_ctx_t *cpuc = cpu_ctx_of(cpu);
		u32 word;

		bpf_for(word, 0, sizeof(*cpuc) / sizeof(u64))
			((u64 __arena *)cpuc)[word] = 0;
	}
	find_online();
	if (use_cids)
		reset_cids();
	forks_seen = 0;
	user_tasks_seen = 0;
	kernel_tasks_seen = 0;
	enqueues_seen = 0;
	immed_stress_seen = 0;
	dispatches_seen = 0;
	highpri_vtime = 0;
}

s32 SCX_OP_SLEEPABLE(qmap_init)
{
	int err;

	if (!max_tasks) {
		scx_error("max_tasks must be > 0");
		return -SCX_EINVAL;
	}
	if (nr_cpus() > QMAP_MAX_CPUS) {
		scx_error("%u CPUs are more than the %d that there is room for", nr_cpus(), QMAP_MAX_CPUS);
		return -SCX_EINVAL;
	}
	if (sub_cgroup && !use_cids) {
		scx_error("sub_cgroup: this kernel has no sub-schedulers (scx_bpf_sub_grant)");
		return -SCX_EOPNOTSUPP;
	}
	reset();
	err = task_ctxs_init(max_tasks);
	if (err) {
		scx_error("no pages for the task_ctx slab (%d)", err);
		return -SCX_ENOMEM;
	}

	err = scx_bpf_create_dsq(SHARED_DSQ, -1);
	if (err)
		return err;
	err = scx_bpf_create_dsq(HIGHPRI_DSQ, -1);
	if (err)
		return err;
	err = scx_bpf_create_dsq(LOWPRI_DSQ, -1);
	if (err)
		return err;
	return start_timers();
}

void SCX_OP_SLEEPABLE(qmap_exit, struct scx_exit_info *info)
{
	stop_timers();
	scx_exit_info_record(uei, info);
}

SCX_OPS(qmap_ops) = {
	.select_cpu = (void *)qmap_select_cpu,
	.enqueue = (void *)qmap_enqueue,
	.dequeue = (void *)qmap_dequeue,
	.dispatch = (void *)qmap_dispatch,
	.tick = (void *)qmap_tick,
	.core_sched_before = (void *)qmap_core_sched_before,
	.init_task = (void *)qmap_init_task,
	.exit_task = (void *)qmap_exit_task,
	.dump = (void *)qmap_dump,
	.dump_cpu = (void *)qmap_dump_cpu,
	.dump_task = (void *)qmap_dump_task,
	.cgroup_init = (void *)qmap_cgroup_init,
	.cgroup_set_weight = (void *)qmap_cgroup_set_weight,
	.cgroup_set_bandwidth = (void *)qmap_cgroup_set_bandwidth,
	.cgroup_move = (void *)qmap_cgroup_move,
	.cpu_online = (void *)qmap_cpu_online,
	.cpu_offline = (void *)qmap_cpu_offline,
	.init = (void *)qmap_init,
	.exit = (void *)qmap_exit,
	.name = "qmap",
};

/* Only one of the two is ever loaded: see SCX_FORM_CID in options.bpf.h. */
SCX_OPS_CID(qmap_cid_ops) = {
	.select_cid = (void *)qmap_select_cpu,
	.enqueue = (void *)qmap_enqueue,
	.dequeue = (void *)qmap_dequeue,
	.dispatch = (void *)qmap_dispatch,
	.tick = (void *)qmap_tick,
	.core_sched_before = (void *)qmap_core_sched_before,
	.update_idle = (void *)qmap_update_idle,
	.init_task = (void *)qmap_init_task,
	.exit_task = (void *)qmap_exit_task,
	.dump = (void *)qmap_dump,
	.dump_cid = (void *)qmap_dump_cpu,
	.dump_task = (void *)qmap_dump_task,
	.cpuctl_init = (void *)qmap_cgroup_init,
	.cpuctl_set_weight = (void *)qmap_cgroup_set_weight,
	.cpuctl_set_bandwidth = (void *)qmap_cgroup_set_bandwidth,
	.cpuctl_move = (void *)qmap_cgroup_move,
	.sub_attach = (void *)qmap_sub_attach,
	.sub_detach = (void *)qmap_sub_detach,
	.cid_online = (void *)qmap_cpu_online,
	.cid_offline = (void *)qmap_cpu_offline,
	.init = (void *)qmap_init,
	.exit = (void *)qmap_exit,
	.name = "qmap",
};
