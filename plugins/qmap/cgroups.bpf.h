/* SPDX-License-Identifier: GPL-2.0-only */
/* Cgroups and CPUs come, go and change: qmap takes note, and says so with `print_messages`. */
#pragma once

#include "dispatch.bpf.h"

#define message(fmt, args...)				\
({							\
	if (print_messages)				\
		bpf_printk("qmap: " fmt, ##args);	\
})

s32 SCX_OP_SLEEPABLE(qmap_cgroup_init, struct cgroup *cgrp, struct scx_cgroup_init_args *args)
{
	message("cgroup %llu: initialised with weight %u", cgrp->kn->id, args->weight);
	if (bpf_core_field_exists(args->bw_quota_us))
		message("cgroup %llu: bandwidth %llu us of %llu us", cgrp->kn->id, args->bw_quota_us, args->bw_period_us);
	return 0;
}

void SCX_OP(qmap_cgroup_set_weight, struct cgroup *cgrp, u32 weight)
{
	message("cgroup %llu: weight %u", cgrp->kn->id, weight);
}

void SCX_OP(qmap_cgroup_set_bandwidth, struct cgroup *cgrp, u64 period_us, u64 quota_us, u64 burst_us)
{
	message("cgroup %llu: bandwidth %llu us of %llu us, burst %llu us", cgrp->kn->id, quota_us, period_us, burst_us);
}

void SCX_OP(qmap_cgroup_move, struct task_struct *p, struct cgroup *from, struct cgroup *to)
{
	message("%s[%d] moves from cgroup %llu to %llu", p->comm, p->pid, from->kn->id, to->kn->id);
}

void SCX_OP_SLEEPABLE(qmap_cpu_online, s32 cpu)
{
	cpu_ctx_of(cpu)->online = true;
	message("CPU %d is online", cpu);
}

void SCX_OP_SLEEPABLE(qmap_cpu_offline, s32 cpu)
{
	cpu_ctx_of(cpu)->online = false;
	if (use_cids)
		forget_idle(cpu);
	message("CPU %d goes offline", cpu);
}
