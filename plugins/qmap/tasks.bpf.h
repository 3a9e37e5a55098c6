/* SPDX-License-Identifier: GPL-2.0-only */
/* Contexts: the arena, the slab of task contexts in it, and the contexts of CPUs. */
#pragma once

#include <scxhost/bpf/arena_slab.bpf.h>

#include "options.bpf.h"
#include "qmap.h"

/* 1 GiB with pages of 4 KiB: what max_tasks may ask for at most, twice. */
SCX_ARENA(arena, 1 << 18);

struct qmap_arena SCX_ARENA_GLOBAL qa;

struct task_ctx {
	struct scx_slab_entry entry;
	u64 core_sched_seq;
	u32 ticket; /* of its place in a queue; 0: it has none. See queues.bpf.h */
	bool force_local;
	bool highpri;
	u8 padding[2];
};

typedef struct task_ctx __arena task_ctx_t;

SCX_SLAB_DEFINE(task_ctxs, struct task_ctx, arena, &qa.task_ctxs);

struct task_slot {
	task_ctx_t *ctx;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_slot);
} task_slots SEC(".maps");

/* NULL for a task that is not ours: never was, or has exited. */
static task_ctx_t *find_task_ctx(struct task_struct *p)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, 0, 0);

	scx_arena_uses(arena);
	return slot ? slot->ctx : NULL;
}

static task_ctx_t *lookup_task_ctx(struct task_struct *p)
{
	task_ctx_t *taskc = find_task_ctx(p);

	if (!taskc)
		scx_error("task_ctx lookup failed");
	return taskc;
}

typedef struct cpu_ctx __arena cpu_ctx_t;

/* init makes sure that there are not more CPUs. */
static __always_inline cpu_ctx_t *cpu_ctx_of(s32 cpu)
{
	return &qa.cpu_ctxs[cpu & (QMAP_MAX_CPUS - 1)];
}

static __always_inline cpu_ctx_t *this_cpu_ctx(void)
{
	return cpu_ctx_of(use_cids ? scx_bpf_this_cid() : (s32)bpf_get_smp_processor_id());
}

/* Every Nth of what `seen` counts, for the fault knobs: not exact when CPUs meet, and need not be. */
static __always_inline bool is_nth(u32 *seen, u32 nth)
{
	return nth && !(++*seen % nth);
}

static u32 forks_seen;

s32 SCX_OP_SLEEPABLE(qmap_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_slot *slot = NULL;
	task_ctx_t *taskc;
	int error;

	/* The kernel refuses to keep out, at fork, a task that already has the policy. */
	if (disallow_pid && p->tgid == disallow_pid && !(args->fork && p->policy == SCHED_EXT))
		p->scx.disallow = true;

	taskc = task_ctxs_take(&error);
	if (!taskc) {
		if (error == -SCX_ENOSPC) {
			scx_error("task_ctx slab exhausted (max_tasks=%u)", max_tasks);
			return -SCX_ENOMEM;
		}
		/* Memory is short, or the lock's holder does not run: this fork fails, the machine goes on. */
		return error == -SCX_ENOMEM ? -SCX_ENOMEM : -SCX_EAGAIN;
	}
	taskc->core_sched_seq = 0;
	taskc->ticket = 0;
	taskc->force_local = false;
	taskc->highpri = false;

	if (!args->fork || !is_nth(&forks_seen, fail_storage_nth))
		slot = bpf_task_storage_get(&task_slots, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!slot) {
		task_ctxs_give(taskc);
		return -SCX_ENOMEM;
	}
	slot->ctx = taskc;
	return 0;
}

void SCX_OP(qmap_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, 0, 0);
	task_ctx_t *taskc;

	if (!slot)
		return;
	/* First out of the storage, so that nobody finds an entry that is somebody else's already. */
	taskc = slot->ctx;
	slot->ctx = NULL;
	if (taskc)
		task_ctxs_give(taskc);
}

/* The slab's self-check. Returns 0, -EAGAIN when tasks came or went meanwhile, or -EUCLEAN; details in slab_report. */
struct scx_slab_report slab_report;
static u32 slab_checks;

SEC("syscall")
int qmap_check_slab(void *unused)
{
	return task_ctxs_check(++slab_checks ?: ++slab_checks, &slab_report);
}
