/* SPDX-License-Identifier: GPL-2.0-only */
/* talker: a scheduler whose two halves talk: user space runs a program of it, and that puts events into a ring buffer. */
#include <scxhost/bpf/common.bpf.h>
#include <scxhost/bpf/exit_info.bpf.h>

#include "talker.h"

char _license[] SEC("license") = "GPL";

SCX_OPTION("odd_size", bool, "Events of a size that the user-space half does not expect")
const volatile bool odd_size = false;

struct talker_stats {
	SCX_COUNTER("Tasks enqueued") u64 enqueued;
	SCX_COUNTER("Events that the ring buffer had no room for") u64 lost;
};
struct talker_stats stats;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} answers SEC(".maps");

SCX_EXIT_INFO(uei);

SEC("syscall")
int talker_ask(struct talker_question *question)
{
	struct talker_answer answer = {
		.number = question->number,
		.answer = 2 * question->number,
	};

	question->answer = answer.answer;
	if (bpf_ringbuf_output(&answers, &answer, odd_size ? sizeof(u64) : sizeof(answer), 0))
		__sync_fetch_and_add(&stats.lost, 1);
	return 7;
}

void SCX_OP(talker_enqueue, struct task_struct *p, u64 enq_flags)
{
	__sync_fetch_and_add(&stats.enqueued, 1);
	scx_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

void SCX_OP_SLEEPABLE(talker_exit, struct scx_exit_info *info)
{
	scx_exit_info_record(uei, info);
}

SCX_OPS(talker_ops) = {
	.enqueue = (void *)talker_enqueue,
	.exit = (void *)talker_exit,
	.name = "talker",
};
