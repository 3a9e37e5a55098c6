/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arena slab without a scheduler: syscall programs that take and give entries, for slab_test.cpp. Entries that are
 * taken wait on a list of the thread that took them (its number is the program's argument), linked through the entries.
 */
#include <scxhost/bpf/arena.bpf.h>

#include "slab.h"

char _license[] SEC("license") = "GPL";

SCX_ARENA(arena, 1 << 16);

struct slab_shared SCX_ARENA_GLOBAL shared;

/*
 * The lock of the slab below. No program can bring about that the kernel's lock is not to be had in time, and under
 * emulation not even a holder does: who waits for it gives its time to who holds it.
 */
static __always_inline int scripted_lock(struct bpf_res_spin_lock *lock, unsigned long *irq)
{
	u64 i;

	if (shared.lock_script == SLAB_LOCK_REFUSE)
		return -SCX_EBUSY;
	if (shared.lock_script == SLAB_LOCK_WAIT) {
		shared.waiting = 1;
		bpf_for(i, 0, 8 << 20) {
			if (shared.let_go)
				break;
		}
		return -SCX_EBUSY;
	}
	return bpf_res_spin_lock_irqsave(lock, irq);
}
#define bpf_res_spin_lock_irqsave scripted_lock

#include <scxhost/bpf/arena_slab.bpf.h>


struct entry {
	struct scx_slab_entry slab;
	struct entry __arena *next_held;
	u64 owner;
};

SCX_SLAB_DEFINE(entries, struct entry, arena, &shared.slab);

SEC("syscall")
int slab_init(struct slab_args *args)
{
	u32 thread;

	bpf_for(thread, 0, SLAB_TEST_THREADS)
		shared.held[thread] = NULL;
	return entries_init(args->max);
}

/* Takes `count` entries; stops at the first error. args->done says how many there were. */
SEC("syscall")
int slab_take(struct slab_args *args)
{
	u32 thread = args->thread % SLAB_TEST_THREADS;
	u64 i, count = args->count, done = 0;
	int error = 0;

	bpf_for(i, 0, count) {
		struct entry __arena *entry = entries_take(&error);

		if (!entry)
			break;
		entry->owner = thread;
		entry->next_held = shared.held[thread];
		shared.held[thread] = entry;
		done++;
	}
	args->done = done;
	return error;
}

/* Gives up to `count` entries back. An entry that somebody else has had meanwhile is an error. */
SEC("syscall")
int slab_give(struct slab_args *args)
{
	u32 thread = args->thread % SLAB_TEST_THREADS;
	u64 i, count = args->count, done = 0;

	bpf_for(i, 0, count) {
		struct entry __arena *entry = shared.held[thread];

		if (!entry)
			break;
		if (entry->owner != thread)
			return -SCX_EUCLEAN;
		shared.held[thread] = entry->next_held;
		entries_give(entry);
		done++;
	}
	args->done = done;
	return 0;
}

/* The mistake of a policy: the same entry twice. */
SEC("syscall")
int slab_give_twice(struct slab_args *args)
{
	int error;
	struct entry __arena *entry = entries_take(&error);

	if (!entry)
		return error;
	entries_give(entry);
	entries_give(entry);
	return 0;
}

/* What an NMI does that comes while this CPU is at its own batches. */
SEC("syscall")
int slab_give_nested(struct slab_args *args)
{
	u32 thread = args->thread % SLAB_TEST_THREADS;
	struct scx_slab_parts parts = entries_parts();
	struct entry __arena *entry = shared.held[thread];
	struct scx_slab_cache *cache;
	unsigned long irq;

	if (!entry)
		return -SCX_ENOSPC;
	shared.held[thread] = entry->next_held;
	bpf_local_irq_save(&irq);
	cache = scx_slab_this_cache(&parts);
	if (cache)
		cache->entered = 1;
	bpf_local_irq_restore(&irq);
	entries_give(entry);
	bpf_local_irq_save(&irq);
	cache = scx_slab_this_cache(&parts);
	if (cache)
		cache->entered = 0;
	bpf_local_irq_restore(&irq);
	return 0;
}

/* The damage that the self-check is to find: an entry on a list twice, one that is on none, or a wrong mark. */
SEC("syscall")
int slab_damage(struct slab_args *args)
{
	int error;
	struct entry __arena *entry = entries_take(&error);

	if (!entry)
		return error;
	entry->slab.taken = 0;
	if (args->count == SLAB_DAMAGE_LOSE) {
		__sync_fetch_and_sub(&shared.slab.in_use, 1);
		return 0;
	}
	entry->slab.taken = 1;
	entries_give(entry);
	if (args->count == SLAB_DAMAGE_LOOP)
		entry->slab.next = &entry->slab;
	if (args->count == SLAB_DAMAGE_MARK)
		entry->slab.taken = 1;
	return 0;
}

/*
 * Keeps the shared list's lock until user space says so (or long after), as one does whose virtual CPU does not run.
 * The loop's length is what the verifier allows, its body slow.
 */
SEC("syscall")
int slab_hold_lock(struct slab_args *args)
{
	unsigned long irq;
	u64 i, j;

	if (bpf_res_spin_lock_irqsave(&entries_lock, &irq))
		return -SCX_EBUSY;
	shared.lock_held = 1;
	bpf_for(i, 0, 64) {
		if (shared.let_go)
			break;
		bpf_for(j, 0, 1 << 20) {
			if (shared.let_go)
				break;
		}
	}
	shared.lock_held = 0;
	bpf_res_spin_unlock_irqrestore(&entries_lock, &irq);
	return 0;
}

static u32 checks;
struct scx_slab_report report;

SEC("syscall")
int slab_check(struct slab_args *args)
{
	int error = entries_check(++checks, &report);

	args->report = report;
	return error;
}
