/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the two halves of the faulty plugin. */
#pragma once

/* The callback of the user-space half that throws. */
enum throws {
	THROWS_NOTHING,
	THROWS_CREATE,
	THROWS_CONFIGURE,
	THROWS_LOADED,
	THROWS_ATTACHED,
	THROWS_TICK,
	THROWS_DETACHING,
};

/* What goes wrong, where it is not the user-space half that throws. */
enum fault {
	FAULT_NONE,
	FAULT_INIT,	 /* init returns an error */
	FAULT_INIT_TASK, /* init_task returns an error */
	FAULT_ERROR,	 /* scx_bpf_error */
	FAULT_MISUSE,	 /* a dispatch to a queue that does not exist */
	FAULT_STALL,	 /* tasks are dropped until the watchdog comes */
	FAULT_EXIT,	 /* scx_bpf_exit */
	FAULT_RESTART,	 /* scx_bpf_exit, asking to be started again */
	FAULT_DETACHING, /* scx_bpf_error while the user-space half is told of the detach to come */
};
