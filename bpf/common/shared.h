/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a header needs that both halves of a policy include: fixed-width types (__u64, ...), and the qualifier of
 * arena pointers. An arena pointer is a user-space address on both sides: the BPF half marks it, so that the compiler
 * translates it at each access; in the process that has loaded the object it can be used as it is.
 */
#pragma once

#ifdef __bpf__
#include "kernel_types.bpf.h"
#define __arena __attribute__((address_space(1)))
#else
#include <linux/types.h>
#define __arena
#endif

#include "declare.bpf.h"
