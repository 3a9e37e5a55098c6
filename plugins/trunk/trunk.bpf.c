/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trunk: a root to put other schedulers below. It shares CPU time among its own tasks and its branches by weight, and
 * what one of them leaves goes to the others. README.md explains it. The files, each built on the one before: options,
 * shares (who has what), owners (who runs), idle, turns (bounds by the clock), then this one.
 */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

#include "options.bpf.h"
#include "shares.bpf.h"
#include "owners.bpf.h"
#include "idle.bpf.h"
#include "turns.bpf.h"

char _license[] SEC("license") = "GPL";

SCX_EXIT_INFO(uei);

/* The furthest virtual time that a task of trunk's own has started to run at. */
static u64 own_vtime;

s32 SCX_OP(trunk_select_cid, struct task_struct *p, s32 prev_cid, u64 wake_flags)
{
	s32 cid = claim_idle_for(p, prev_cid);

	if (cid < 0)
		return prev_cid;
	scx_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	return cid;
}

void SCX_OP(trunk_enqueue, struct task_struct *p, u64 enq_flags)
{
	bool serves_one_cpu = (p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1;
	u64 vtime = p->scx.dsq_vtime;
	s32 cid = scx_bpf_task_cid(p);

	/* It serves this CPU, and others wait for what it does. One that goes on working takes its turn. */
	if (serves_one_cpu && (enq_flags & SCX_ENQ_WAKEUP)) {
		scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | cid, slice_ns, enq_flags | SCX_ENQ_PREEMPT);
		return;
	}
	/* The kernel does not ask select_cid for a task that may run on one CPU only, or that did not sleep. */
	if (!(enq_flags & SCX_ENQ_CPU_SELECTED)) {
		s32 idle = claim_idle_for(p, cid);

		if (idle >= 0) {
			scx_dsq_insert(p, SCX_DSQ_LOCAL_ON | idle, slice_ns, enq_flags);
			scx_bpf_kick_cid(idle, SCX_KICK_IDLE);
			return;
		}
	}

	/* Sleeping saves up one slice at most. */
	if (scx_time_before(vtime, own_vtime - slice_ns))
		vtime = own_vtime - slice_ns;
	scx_dsq_insert_vtime(p, OWN_DSQ, slice_ns, vtime, enq_flags);
	entity_at(OWN)->empty = 0;

	/* A CPU that looked into the queue just before, and went idle, has not been seen by select_cid. */
	cid = claim_idle_for(p, cid);
	if (cid >= 0)
		scx_bpf_kick_cid(cid, SCX_KICK_IDLE);
}

/*
 * Gives the CPU to an entity. Where it has nothing but what runs here already, that goes on: the kernel keeps it when
 * nothing is dispatched.
 */
static bool serve(u32 index, struct turn *turn)
{
	struct entity *entity = entity_at(index);
	bool has;

	if (index == OWN)
		has = scx_dsq_move_to_local(OWN_DSQ, 0);
	else
		has = scx_sub_dispatch(scx_child_cgroup(&children, index - 1));
	if (has) {
		entity->empty = 0;
		return true;
	}
	if (turn->owner == index && is_runnable(bpf_get_current_task_btf()))
		return true;
	entity->empty = 1;
	__sync_fetch_and_add(&row_of(index)->refused, 1);
	return false;
}

void SCX_OP(trunk_dispatch, s32 cid, struct task_struct *prev)
{
	struct turn *turn = this_turn();
	u32 passed = 0, round;
	u64 now;

	if (!children.count) {
		scx_dsq_move_to_local(OWN_DSQ, 0);
		return;
	}
	now = scx_bpf_now();
	charge(turn, now);
	advance();
	bpf_for(round, 0, nr_entities()) {
		u32 index = furthest_behind(passed);

		if (index >= NR_ENTITIES)
			break;
		passed |= 1U << index;
		if (turn->barred >> index & 1) {
			unbar(turn, index, cid);
			continue;
		}
		if (serve(index, turn)) {
			turn->invited = index;
			settle(entity_at(index));
			begin_turn(turn, now);
			break;
		}
	}
}

void SCX_OP(trunk_running, struct task_struct *p)
{
	this_turn()->own_since = scx_bpf_now();
	/* Not exact when two CPUs meet here, and it need not be: the next task to run puts it right. */
	if (scx_time_before(own_vtime, p->scx.dsq_vtime))
		own_vtime = p->scx.dsq_vtime;
}

void SCX_OP(trunk_stopping, struct task_struct *p, bool runnable)
{
	u64 ran = scx_bpf_now() - this_turn()->own_since;

	scx_task_set_dsq_vtime(p, p->scx.dsq_vtime + ran * 100 / (p->scx.weight ?: 1));
}

void SCX_OP(trunk_enable, struct task_struct *p)
{
	own_sched = (u64)p->scx.sched;
	scx_task_set_dsq_vtime(p, own_vtime);
}

s32 SCX_OP_SLEEPABLE(trunk_sub_attach, struct scx_sub_attach_args *args)
{
	u64 ops = (u64)args->ops, id = args->ops->sub_cgroup_id;
	s32 place = scx_children_add(&children, ops, id);
	struct entity *entity;

	if (place < 0)
		return place;
	entity = entity_at(place + 1);
	entity->running = 0;
	entity->empty = 0;
	entity->vtime = vtime_now;
	row_of(place + 1)->cgroup = id;
	entity->sch = ops - bpf_core_field_offset(struct scx_sched, ops);
	entity->weight = weight_of(entity->sch);

	/* By name, so that the branch can hand each on to branches of its own. */
	scx_child_grant(id, SCX_GRANT_ENQ_IMMED, &all_cids);
	scx_child_grant(id, SCX_GRANT_ENQ, &all_cids);
	if (grant_preempt)
		scx_child_grant(id, SCX_GRANT_PREEMPT, &all_cids);
	if (grant_perf)
		scx_child_grant(id, SCX_GRANT_PERF, &all_cids);
	arm_timer();
	return 0;
}

void SCX_OP_SLEEPABLE(trunk_sub_detach, struct scx_sub_detach_args *args)
{
	u64 ops = (u64)args->ops;
	u32 i, cpu;

	bpf_for(i, 1, NR_ENTITIES) {
		if (!exists(i) || children.at[(i - 1) & (SCX_MAX_CHILDREN - 1)].ops != ops)
			continue;
		entity_at(i)->sch = 0;
		row_of(i)->cgroup = 0;
		bpf_for(cpu, 0, TRUNK_MAX_CPUS) {
			struct turn *turn = turn_of(cpu);

			if (turn->owner == i)
				turn->owner = NOBODY;
			if (turn->invited == i)
				turn->invited = NOBODY;
			if (turn->offender == i)
				turn->offences = 0;
			__sync_fetch_and_and(&turn->barred, ~(1U << i));
		}
	}
	scx_children_remove(&children, ops);
	/* trunk itself leaves CPUs at what the kernel begins with. */
	if (grant_perf)
		scx_cidperf_restore(SCX_CPUPERF_ONE);
}

s32 SCX_OP_SLEEPABLE(trunk_init)
{
	u32 i, cpu;
	int err;

	scx_exit_info_reset(uei);
	if (scx_bpf_nr_cids() > TRUNK_MAX_CPUS) {
		scx_error("%u CPUs are more than the %d that there is room for", scx_bpf_nr_cids(), TRUNK_MAX_CPUS);
		return -SCX_EINVAL;
	}
	/* The object may have been attached before: nothing of that may stay. */
	scx_children_reset(&children);
	bpf_for(i, 0, NR_ENTITIES) {
		struct entity *entity = entity_at(i);

		__builtin_memset(entity, 0, sizeof(*entity));
		__builtin_memset(row_of(i), 0, sizeof(struct row));
	}
	entity_at(OWN)->weight = own_weight * WEIGHT_UNIT;
	bpf_for(cpu, 0, TRUNK_MAX_CPUS) {
		turn_of(cpu)->owner = NOBODY;
		turn_of(cpu)->barred = 0;
		turn_of(cpu)->invited = NOBODY;
		turn_of(cpu)->offender = NOBODY;
		turn_of(cpu)->offences = 0;
	}
	vtime_now = 0;
	own_vtime = 0;
	own_sched = 0;
	scx_cids_fill(&all_cids);
	idle_reset();

	err = scx_bpf_create_dsq(OWN_DSQ, -1);
	if (err)
		return err;
	return init_timer();
}

void SCX_OP_SLEEPABLE(trunk_exit, struct scx_exit_info *info)
{
	stop_timer();
	scx_exit_info_record(uei, info);
}

SCX_OPS_CID(trunk_ops) = {
	.select_cid = (void *)trunk_select_cid,
	.enqueue = (void *)trunk_enqueue,
	.dispatch = (void *)trunk_dispatch,
	.running = (void *)trunk_running,
	.stopping = (void *)trunk_stopping,
	.enable = (void *)trunk_enable,
	.update_idle = (void *)trunk_update_idle,
	.cid_online = (void *)trunk_cid_online,
	.cid_offline = (void *)trunk_cid_offline,
	.sub_attach = (void *)trunk_sub_attach,
	.sub_detach = (void *)trunk_sub_detach,
	.init = (void *)trunk_init,
	.exit = (void *)trunk_exit,
	.name = "trunk",
};
