/* SPDX-License-Identifier: GPL-2.0-only */
/* Contexts of tasks, in an arena slab, and of CPUs and domains; what tasks are to their cgroups. */
#pragma once

#include <scxhost/bpf/arena_slab.bpf.h>

#include "interactive.h"
#include "groups.bpf.h"

/* 1 GiB with pages of 4 KiB: more than max_tasks can ask for. */
SCX_ARENA(arena, 1 << 18);

struct interactive_arena SCX_ARENA_GLOBAL ia;

/* A new task is neither brief nor long until it has shown what it is. */
#define USUAL_NEW_NS 2000000ULL

/* One cache line. */
struct task_ctx {
	struct scx_slab_entry entry;
	u64 vtime;  /* time it has run, divided by its weight; in its domain's measure */
	u64 usual;  /* what it runs from waking up to going to sleep: a moving average, ns */
	u64 run;    /* what it has run since it woke up, ns */
	u64 queued; /* when it was put into a queue, 0: it is in none; ns */
	u32 domain; /* whose measure vtime is in */
	u32 group;  /* of its cgroup */
	u32 load;   /* what it adds to the group's load: its weight, 0 while it sleeps */
	u32 unused;
};

typedef struct task_ctx __arena task_ctx_t;
typedef struct cpu_ctx __arena cpu_ctx_t;
typedef struct domain __arena domain_t;

SCX_SLAB_DEFINE(task_ctxs, struct task_ctx, arena, &ia.task_ctxs);

struct task_slot {
	task_ctx_t *ctx;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_slot);
} task_slots SEC(".maps");

static task_ctx_t *lookup_task_ctx(struct task_struct *p)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, 0, 0);

	scx_arena_uses(arena);
	if (slot && slot->ctx)
		return slot->ctx;
	scx_error("task_ctx lookup failed");
	return NULL;
}

/* init makes sure that there are not more CPUs. */
static __always_inline cpu_ctx_t *cpu_ctx_of(s32 cpu)
{
	return &ia.cpu_ctxs[cpu & (INTERACTIVE_MAX_CPUS - 1)];
}

static __always_inline cpu_ctx_t *this_cpu_ctx(void)
{
	return cpu_ctx_of(bpf_get_smp_processor_id());
}

static __always_inline domain_t *domain_at(u32 index)
{
	return &ia.domains[index & (INTERACTIVE_MAX_DOMAINS - 1)];
}

/* It is no longer runnable, or not in this group. */
static void leave_load(task_ctx_t *taskc)
{
	if (!taskc->load)
		return;
	__sync_fetch_and_sub(&group_at(taskc->group)->load, taskc->load);
	taskc->load = 0;
}

/*
 * It is runnable, with this weight. Looked at when it wakes up, and when it is given a CPU: its weight may have changed,
 * or groups have come to matter while it ran.
 */
static void join_load(struct task_struct *p, task_ctx_t *taskc)
{
	struct group *group = group_at(taskc->group);
	u32 weight = p->scx.weight;

	if (taskc->load != weight) {
		__sync_fetch_and_add(&group->load, (u64)weight - taskc->load);
		taskc->load = weight;
	}
	mark_active(taskc->group);
}

void SCX_OP(interactive_cgroup_move, struct task_struct *p, struct cgroup *from, struct cgroup *to)
{
	task_ctx_t *taskc = lookup_task_ctx(p);

	if (!taskc)
		return;
	/* The kernel takes it out of its run queue for this, and back: then it joins again. */
	leave_load(taskc);
	taskc->group = group_of(to->kn->id);
}

/* It goes to another class of scheduler, without having slept. */
void SCX_OP(interactive_disable, struct task_struct *p)
{
	task_ctx_t *taskc = lookup_task_ctx(p);

	if (taskc)
		leave_load(taskc);
}

s32 SCX_OP_SLEEPABLE(interactive_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_slot *slot;
	task_ctx_t *taskc;
	int error;

	taskc = task_ctxs_take(&error);
	if (!taskc) {
		if (error == -SCX_ENOSPC) {
			scx_error("task_ctx slab exhausted (max_tasks=%u)", max_tasks);
			return -SCX_ENOMEM;
		}
		/* Memory is short, or the lock's holder does not run: this fork fails, the machine goes on. */
		return error == -SCX_ENOMEM ? -SCX_ENOMEM : -SCX_EAGAIN;
	}
	taskc->vtime = 0;
	taskc->usual = USUAL_NEW_NS;
	taskc->run = 0;
	taskc->queued = 0;
	taskc->domain = 0;
	taskc->load = 0;
	taskc->group = bpf_core_field_exists(args->cgroup) ? group_of(args->cgroup->kn->id) : ROOT_GROUP;

	slot = bpf_task_storage_get(&task_slots, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!slot) {
		task_ctxs_give(taskc);
		return -SCX_ENOMEM;
	}
	slot->ctx = taskc;
	return 0;
}

void SCX_OP(interactive_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
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
int interactive_check_slab(void *unused)
{
	return task_ctxs_check(++slab_checks ?: ++slab_checks, &slab_report);
}
