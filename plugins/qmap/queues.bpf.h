/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The five FIFO queues, and the order of tasks for core scheduling.
 *
 * A queue holds process ids, and an id is not taken out when its task leaves in another way (it sleeps, it is changed,
 * core scheduling picks it). So each place in a queue has a ticket, which the task's context holds as well, and only
 * who exchanges it there for 0 has the task: an old place is recognised and skipped, and each task leaves its queue once.
 */
#pragma once

#include "cpus.bpf.h"

#define QUEUE_LENGTH 16384

struct queue {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, QUEUE_LENGTH);
	__type(value, u64); /* the ticket and the pid */
} queue0 SEC(".maps"), queue1 SEC(".maps"), queue2 SEC(".maps"), queue3 SEC(".maps"), queue4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, QMAP_QUEUES);
	__type(key, u32);
	__array(values, struct queue);
} queues SEC(".maps") = {
	.values = {
		[0] = &queue0,
		[1] = &queue1,
		[2] = &queue2,
		[3] = &queue3,
		[4] = &queue4,
	},
};

/* A function of its own: the verifier of 7.3 loses sight of a variable that is both a key and used later. */
static __noinline void *queue_of(u32 index)
{
	return bpf_map_lookup_elem(&queues, &index);
}

/* 100 is the weight of nice 0, each step of nice a factor of about 1.25; queue 4 has the highest priority. */
static u32 weight_to_queue(u32 weight)
{
	if (weight <= 25)
		return 0;
	if (weight <= 50)
		return 1;
	if (weight < 200)
		return 2;
	if (weight < 400)
		return 3;
	return 4;
}

/* The lowest weight (nice 19): tasks that run when nothing else wants to. */
static bool is_lowpri(struct task_struct *p)
{
	return p->scx.weight < 2 && !(p->flags & PF_KTHREAD);
}

/* nice -20 */
#define HIGHPRI_WEIGHT 8668

static u64 next_core_sched_seq(u32 index)
{
	return __sync_fetch_and_add(&qa.core_sched_tail_seqs[index], 1);
}

/* The task has left its queue: what was said about it there holds no longer. */
static void left_queue(task_ctx_t *taskc, cpu_ctx_t *cpuc)
{
	cpuc->waiting--;
	if (taskc->highpri)
		__sync_fetch_and_sub(&qa.highpri_queued, 1);
}

/* Counted before it is there: who sees a length of 0 has come before the task. */
static bool queue_put(u32 index, void *queue, u64 place)
{
	__sync_fetch_and_add(&qa.queue_lengths[index], 1);
	if (!bpf_map_push_elem(queue, &place, 0))
		return true;
	/* Full, or its lock could not be had. */
	__sync_fetch_and_sub(&qa.queue_lengths[index], 1);
	return false;
}

static bool queue_get(u32 index, void *queue, u64 *place)
{
	if (bpf_map_pop_elem(queue, place))
		return false;
	__sync_fetch_and_sub(&qa.queue_lengths[index], 1);
	return true;
}

/* What a CPU that runs out of work asks first. */
static bool queues_empty(void)
{
	u64 places = 0;
	u32 index;

#pragma unroll
	for (index = 0; index < QMAP_QUEUES; index++)
		places |= qa.queue_lengths[index];
	return !places;
}

/* Takes the task out of its queue, if it is in one. */
static void leave_queue(task_ctx_t *taskc)
{
	if (taskc->ticket && __sync_lock_test_and_set(&taskc->ticket, 0))
		left_queue(taskc, this_cpu_ctx());
	taskc->highpri = false;
}

static bool queue_push(struct task_struct *p, task_ctx_t *taskc, u32 index)
{
	u32 ticket = (u32)taskc->core_sched_seq << 3 | (index + 1);
	u64 place = (u64)ticket << 32 | (u32)p->pid;
	void *queue = queue_of(index);
	cpu_ctx_t *cpuc;

	if (!queue)
		return false;
	cpuc = this_cpu_ctx();

	/* Another CPU may take the task before push returns: everything is said before. */
	taskc->highpri = boost_highpri && p->scx.weight >= HIGHPRI_WEIGHT;
	if (taskc->highpri)
		__sync_fetch_and_add(&qa.highpri_queued, 1);
	cpuc->waiting++;
	taskc->ticket = ticket;

	if (queue_put(index, queue, place)) {
		cpuc->enqueued++;
		return true;
	}
	taskc->ticket = 0;
	left_queue(taskc, cpuc);
	taskc->highpri = false;
	return false;
}

/* The task at this place, with a reference; NULL when it is no longer there. */
static struct task_struct *queue_claim(u64 place, cpu_ctx_t *cpuc, task_ctx_t **found)
{
	struct task_struct *p = bpf_task_from_pid((s32)place);
	u32 ticket = place >> 32;
	task_ctx_t *taskc;

	if (!p)
		return NULL;
	taskc = find_task_ctx(p);
	if (!taskc || __sync_val_compare_and_swap(&taskc->ticket, ticket, 0) != ticket) {
		bpf_task_release(p);
		return NULL;
	}
	left_queue(taskc, cpuc);
	*found = taskc;
	return p;
}

static void queues_drain(void)
{
	u32 index;
	u64 place;
	int i;

	bpf_for(index, 0, QMAP_QUEUES) {
		void *queue = queue_of(index);

		if (!queue)
			continue;
		bpf_for(i, 0, QUEUE_LENGTH) {
			if (!queue_get(index, queue, &place))
				break;
		}
		qa.queue_lengths[index] = 0;
	}
}

/*
 * How far a task is from the head of its queue, in units that queues of different priority share: a queue is served
 * twice as often as the one before it, so the same distance is half as long in time.
 */
static s64 core_sched_distance(struct task_struct *p)
{
	task_ctx_t *taskc = find_task_ctx(p);
	u32 index = weight_to_queue(p->scx.weight);
	s64 distance;

	/*
	 * A child's task: the kernel (7.3.4, scx_prio_less) asks the parent where tasks of two schedulers meet. It counts as
	 * the head of a queue: before all that waits in one, and after those whose turn has passed them by.
	 */
	if (!taskc)
		return 0;
	distance = taskc->core_sched_seq - qa.core_sched_head_seqs[index];
	/* Ahead of the head, a distance is negative: there the scale is the other way round. */
	return distance >= 0 ? distance << (4 - index) : distance << index;
}

bool SCX_OP(qmap_core_sched_before, struct task_struct *a, struct task_struct *b)
{
	return core_sched_distance(a) < core_sched_distance(b);
}
