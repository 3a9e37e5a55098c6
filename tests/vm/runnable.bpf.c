/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy of the build, and programs that call its functions from a test: how an author tests BPF code without attaching
 * it.
 */
#include "../../plugins/simple/simple.bpf.c"

/* Not static: libbpf maps a section only when somebody else can name a variable in it. */
u64 calls;

struct vtime_test {
	u64 now;
	u64 fifo;
};

SEC("syscall")
int test_vtime(struct vtime_test *test)
{
	calls++;
	vtime_now = test->now;
	test->now = slice_ns;
	test->fifo = fifo;
	return scx_time_before(vtime_now, 10);
}
