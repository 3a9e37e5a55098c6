/* SPDX-License-Identifier: GPL-2.0-only */
/* The policy of a program that nobody wrote for this host. */
#include "../../plugins/simple/simple.bpf.c"
