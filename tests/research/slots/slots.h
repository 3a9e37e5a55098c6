/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the experiment's BPF objects share with the program that drives them. A slot is an element of a program array
 * that a callback of the root scheduler ends in; bank 0 or 1 of all arrays together holds one policy.
 */
#pragma once

#include <scxhost/bpf/shared.h>

#define SLOT_BANKS 2

/* Of the root, in a section of its own that user space maps. */
struct slots_state {
	__u32 bank;	   /* the change of policy is a store to this, and nothing else */
	__u32 forced_bank; /* of a policy that gave itself up: 1 + the bank it gave up; 0: none has */
	__u64 drain_dsq;   /* served before the policy's own queues while it is not 0 */
	__u64 fallbacks;   /* enqueues that no slot took */
	__s32 exit_kind;   /* why the kernel took the root out; 0 while it runs */
	char exit_message[128];
};

/* Argument and answer of the syscall programs. */
struct slots_request {
	__u64 dsq;
	__s64 answer;
};

/* What the kfuncs policy counts: how often it asked, and how often the kernel did it. */
struct slots_count {
	__u64 asked;
	__u64 done;
};

struct kfuncs_state {
	struct slots_count select_cpu_dfl;
	struct slots_count insert_local;
	struct slots_count insert_global;
	struct slots_count insert_fifo;
	struct slots_count insert_vtime;
	struct slots_count move_to_local;
	struct slots_count move;
	struct slots_count kick_cpu;
	struct slots_count set_vtime;
	struct slots_count reenq;
};

/* What the broken policy does on purpose. */
enum slots_fault {
	SLOTS_FAULT_NONE,
	SLOTS_FAULT_ERROR,   /* scx_bpf_error() in enqueue */
	SLOTS_FAULT_MISUSE,  /* a queue that does not exist */
	SLOTS_FAULT_LOSE,    /* queues tasks and never dispatches them */
	SLOTS_FAULT_GIVE_UP, /* a fault that the policy finds by itself: it stores the other bank */
};
