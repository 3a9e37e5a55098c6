/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of an arena slab that user space sees: its state and statistics. The allocator is in arena_slab.bpf.h.
 */
#pragma once

#include "shared.h"

/* At the start of every entry. */
struct scx_slab_entry {
	struct scx_slab_entry __arena *next; /* free: the next one of the batch */
	__u32 taken;
	__u32 met; /* the last self-check that came across it as free */
};

/* A free entry that heads a batch uses what follows, too; so this is the least size of an entry. */
struct scx_slab_batch {
	struct scx_slab_entry entry;
	struct scx_slab_batch __arena *next;
	__u64 count;
};

/* A step of growth: some pages, with entries behind this header. */
struct scx_slab_chunk {
	struct scx_slab_chunk __arena *next;
	__u64 padding[7];
};

/* In the arena. */
struct scx_slab {
	/* Under the lock. */
	struct scx_slab_batch __arena *free_head; /* free batches that no CPU has */
	struct scx_slab_chunk __arena *first;
	struct scx_slab_chunk __arena *last;
	struct scx_slab_chunk __arena *fresh; /* where entries that were never handed out begin */
	__u64 fresh_index;		      /* ... and with which entry */
	__u64 moves;

	/* Without a lock. */
	struct scx_slab_batch __arena *aside; /* free batches that could not go anywhere else */
	__u64 aside_moves;

	__u64 busy; /* takes and gives under way */
	SCX_GAUGE("Entries in use") SCX_GROUP("slab") __u64 in_use;
	SCX_GAUGE("Most entries in use at once") SCX_GROUP("slab") SCX_FOLD(max) __u64 high_water;
	SCX_GAUGE("Entries that may be in use") SCX_GROUP("slab") __u64 capacity;
	SCX_GAUGE("Memory of the slab") SCX_GROUP("slab") SCX_UNIT("pages") __u64 pages;
	SCX_COUNTER("The lock could not be had in time, and was tried again or done without") SCX_GROUP("slab")
	__u64 lock_retries;
	SCX_COUNTER("Requests that got no entry: no memory, or the lock not to be had") SCX_GROUP("slab") __u64 failed;
	SCX_COUNTER("Entries given back that were not in use: an error of the policy") SCX_GROUP("slab") __u64 bad_gives;
};

/* What a self-check found. In order: lost, doubled and wrong are 0. */
struct scx_slab_report {
	__u64 cached; /* free, with a CPU */
	__u64 shared; /* free, in the shared list or set aside */
	__u64 fresh;  /* never handed out since init */
	__u64 taken;
	__u64 lost;    /* neither taken nor on a list */
	__u64 doubled; /* on a list twice, or on two */
	__u64 wrong;   /* on a list though taken, or counts that disagree */
};
