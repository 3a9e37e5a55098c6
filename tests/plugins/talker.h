/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the two halves of the talker plugin. */
#pragma once

#include <scxhost/bpf/shared.h>

/* The context of the program that is asked. */
struct talker_question {
	__u64 number;
	__u64 answer; /* twice the number */
};

/* What it puts into the ring buffer. */
struct talker_answer {
	__u64 number;
	__u64 answer;
};
