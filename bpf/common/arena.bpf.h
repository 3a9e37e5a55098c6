/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF arena: memory that BPF programs and user space share, with pointers in it. Needs clang 19 or newer, which turns
 * an access through an `__arena` pointer into one that the verifier takes.
 */
#pragma once

#include "common.bpf.h"
#include "shared.h"

/* A map named `map` with room for this many pages. They are allocated on demand: the number limits, and costs nothing. */
#define SCX_ARENA(map, pages)				\
	struct {					\
		__uint(type, BPF_MAP_TYPE_ARENA);	\
		__uint(map_flags, BPF_F_MMAPABLE);	\
		__uint(max_entries, pages);		\
	} map SEC(".maps")

/* A global in the arena. User space finds it like any other global. */
#define SCX_ARENA_GLOBAL SEC(".addr_space.1") __arena

/*
 * Tells the verifier which arena a program works with. A program that has its arena pointers only from memory (a map
 * value, another entry) names the map nowhere, and its accesses would be refused.
 */
#define scx_arena_uses(map) asm volatile("" : : "r"(&(map)))

#define SCX_NUMA_NO_NODE (-1)

/* From sleepable programs only, before 7.0. NULL: the arena is full, or there is no memory. Pages are zero. */
extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, u32 pages, int node, u64 flags) SCX_KFUNC;
extern void bpf_arena_free_pages(void *map, void __arena *address, u32 pages) SCX_KFUNC;

/* 7.3. Lets a sub-scheduler do things on CPUs; -EPERM when the caller may not do all of them itself. And takes it back. */
extern s32 scx_bpf_sub_grant(u64 cgroup_id, u64 caps, const struct scx_cmask __arena *cmask,
			     struct scx_cmask __arena *denied) SCX_KFUNC;
extern void scx_bpf_sub_revoke(u64 cgroup_id, u64 caps, const struct scx_cmask __arena *cmask) SCX_KFUNC;

#ifndef __VMLINUX_H__
enum page_size_enum {
	__PAGE_SIZE = 4096,
};
#endif

#define SCX_PAGE_SIZE SCX_ENUM(page_size_enum, __PAGE_SIZE)
