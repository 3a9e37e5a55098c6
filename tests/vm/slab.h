/* SPDX-License-Identifier: GPL-2.0-only */
/* What slab.bpf.c and slab_test.cpp share. */
#pragma once

#include <scxhost/bpf/arena_slab.h>

#define SLAB_TEST_THREADS 16

struct entry;

enum slab_damage {
	SLAB_DAMAGE_LOSE,
	SLAB_DAMAGE_LOOP,
	SLAB_DAMAGE_MARK,
};

enum slab_lock_script {
	SLAB_LOCK_REAL,
	SLAB_LOCK_REFUSE, /* not to be had */
	SLAB_LOCK_WAIT,	  /* not to be had, after the time until let_go */
};

/* The programs' argument and, in done and report, their answer. */
struct slab_args {
	__u64 max;
	__u64 thread;
	__u64 count;
	__u64 done;
	struct scx_slab_report report;
};

/* At the base of the arena. */
struct slab_shared {
	struct scx_slab slab;
	__u32 lock_held;
	__u32 let_go;
	__u32 lock_script; /* enum slab_lock_script */
	__u32 waiting;	   /* somebody waits, by SLAB_LOCK_WAIT */
	struct entry __arena *held[SLAB_TEST_THREADS];
};
