/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For the root and the policies of the slots experiment: program arrays, and how a callback ends in one.
 */
#pragma once

#include <scxhost/bpf/common.bpf.h>

#include "slots.h"

#define SLOTS_MAP_TYPE_PROG_ARRAY 3 /* BPF_MAP_TYPE_PROG_ARRAY of bpf(2) */

/*
 * What a task may run for at a time, in every policy. One for all: a task that one policy let run stops in the next one,
 * which tells from what is left of the slice how long it ran.
 */
#define SLOT_SLICE_NS 5000000ULL

/* A callback's program array. It takes programs of one prototype only, so each callback has its own. */
#define SLOT_ARRAY(callback)						\
	struct {							\
		__uint(type, SLOTS_MAP_TYPE_PROG_ARRAY);		\
		__uint(max_entries, SLOT_BANKS);			\
		__uint(key_size, sizeof(u32));				\
		__uint(value_size, sizeof(u32));			\
	} callback##_slots SEC(".maps")
