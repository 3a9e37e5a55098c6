/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by wakeups.bpf.c and the tracer that loads it. */
#pragma once

/* Delays by size: 16 buckets for each power of two of nanoseconds, so that a bucket is 1/16 of its values wide. */
#define WAKEUPS_SUB_BITS 4
#define WAKEUPS_SUB (1 << WAKEUPS_SUB_BITS)
#define WAKEUPS_MAX_BITS 40 /* 18 minutes; what is longer is in the last one */
#define WAKEUPS_BUCKETS ((WAKEUPS_MAX_BITS - WAKEUPS_SUB_BITS + 1) * WAKEUPS_SUB)

/* Time by the length of a CPU's run queue, the running task with it; the last one is for all longer ones. */
#define WAKEUPS_LENGTHS 256
