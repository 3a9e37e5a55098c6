/* SPDX-License-Identifier: GPL-2.0-only */
/* fits: a scheduler in two forms that asks for this and that, for tests that make up the kernel. Nothing loads it. */
#include <scxhost/bpf/common.bpf.h>

char _license[] SEC("license") = "GPL";

extern void fits_needed(void) __ksym;
extern void fits_optional(void) __weak __ksym;
extern void fits_declared(void) __weak __ksym;

SCX_FEATURE(kfunc, fits_optional, "nothing optional")
const volatile bool has_optional = false;

SCX_FEATURE(enum, SCX_ENQ_IMMED, "nothing immediate")
const volatile bool has_immed = false;

SCX_FEATURE(member, sched_ext_ops.sub_attach, "no schedulers below this one")
const volatile bool has_sub_attach = false;

SCX_FEATURE(kfunc, scx_bpf_this_cid, "no topological ids") SCX_FORM_CID
const volatile bool in_cid_form = false;

/* As objects that were compiled against a kernel's full types keep its enumerators. */
const volatile u64 __SCX_SLICE_DFL = 7;
const volatile u64 __SCX_FROM_ANOTHER_WORLD = 7;
const volatile u32 __SCX_ENQ_IMMED = 7;
u64 __SCX_ENQ_LAST = 7;

SCX_NEEDS(fits_declared) u64 counter;

void SCX_OP(fits_enqueue, struct task_struct *p, u64 enq_flags)
{
	counter += __SCX_SLICE_DFL + __SCX_FROM_ANOTHER_WORLD + __SCX_ENQ_IMMED + __SCX_ENQ_LAST;
	fits_needed();
	if (bpf_ksym_exists(fits_optional))
		fits_optional();
	if (bpf_ksym_exists(fits_declared))
		fits_declared();
}

s32 SCX_OP(fits_sub_attach, struct scx_sub_attach_args *args)
{
	return 0;
}

#define FITS_FLAGS ((1ULL << 1) | (1ULL << 40))

SCX_OPS(fits_ops) = {
	.enqueue = (void *)fits_enqueue,
	.sub_attach = (void *)fits_sub_attach,
	.flags = FITS_FLAGS,
	.timeout_ms = 1000,
	.name = "fits",
};

SCX_OPS_CID(fits_cid_ops) = {
	.enqueue = (void *)fits_enqueue,
	.flags = FITS_FLAGS,
	.name = "fits",
};
