/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options, statistics and kernel features, declared once, on the variable or struct member that they belong to. Each
 * macro adds BTF declaration tags ("scx.<key>=<value>"), which the host reads from the compiled object: names, limits,
 * defaults, help texts and tables come from nowhere else. Write the macros in front of the declaration:
 *
 *	SCX_OPTION("slice", duration, "Time slice of a task")
 *	SCX_UNIT("ns") SCX_MIN("1us") SCX_MAX("1s") SCX_DEFAULT(SCX_SLICE_DFL)
 *	const volatile u64 slice_ns = 20000000;
 *
 *	struct my_stats {
 *		SCX_COUNTER("tasks sent straight to an idle CPU") u64 direct;
 *	};
 *
 * The header holds no types, so that structs which a policy shares with its user-space half can use it: there the
 * macros are empty.
 */
#pragma once

#ifdef __bpf__
#define SCX_TAG(text) __attribute__((btf_decl_tag("scx." text)))
#else
#define SCX_TAG(text)
#endif

/*
 * An option: a `const volatile` global. The default is its initial value.
 *
 *	kind		variable			accepted
 *	bool		bool				true, false
 *	int		any integer			a number within SCX_MIN and SCX_MAX
 *	duration	any integer (SCX_UNIT)		"20ms", "5s"
 *	size		any integer			"64K", "1M"
 *	enum		a C enum (SCX_PREFIX)		its enumerators, in lower case
 *	string		char array			a text that fits with its terminator
 *	pid		s32				a process; 0 is none
 *	cpus		array of u64			a CPU list, "0-3,8"
 *	cgroup		u64, a cgroup's id; 0 is none	a path below the cgroup mount
 */
#define SCX_OPTION(key, kind, help) SCX_TAG("option=" key) SCX_TAG("kind=" #kind) SCX_TAG("help=" help)

/* Limits, in the kind's own syntax. */
#define SCX_MIN(value) SCX_TAG("min=" value)
#define SCX_MAX(value) SCX_TAG("max=" value)

/* What the stored number counts: of a duration ("ns", "us", "ms", "s"), or free text for a statistic's column. */
#define SCX_UNIT(unit) SCX_TAG("unit=" unit)

/* The default is this enumerator's value in the running kernel; the initial value serves where it is unknown. */
#define SCX_DEFAULT(enumerator) SCX_TAG("default=" #enumerator)

/* Left out of an enum option's words. */
#define SCX_PREFIX(prefix) SCX_TAG("prefix=" #prefix)

/* The value also goes into this member of the struct_ops (timeout_ms, exit_dump_len, ...) before it is loaded. */
#define SCX_SETS_OPS(member) SCX_TAG("ops=" #member)

/* When the option is not zero, this flag, looked up in the running kernel, is set in the struct_ops' flags. */
#define SCX_SETS_FLAG(enumerator) SCX_TAG("ops_flag=" #enumerator)

/* The option makes the policy misbehave on purpose, for tests. It is listed apart. */
#define SCX_FAULT SCX_TAG("fault=1")

/*
 * A statistic: a member of a struct that is a global (also in the arena) or the value of a per-CPU array map; nested
 * structs and arrays are descended into. A counter only grows, and is also shown as a rate; a gauge is shown as it is.
 */
#define SCX_COUNTER(help) SCX_TAG("stat=counter") SCX_TAG("help=" help)
#define SCX_GAUGE(help) SCX_TAG("stat=gauge") SCX_TAG("help=" help)

/* Another name than the member's. */
#define SCX_NAME(name) SCX_TAG("name=" name)

/* How the values of several CPUs or array entries become one: sum (without this), max, min or avg. */
#define SCX_FOLD(how) SCX_TAG("fold=" #how)

/* One of the few that say most: shown where there is room for few only, as in a log. The others are shown on request. */
#define SCX_KEY SCX_TAG("key=1")

/* The statistics of one group are shown together. */
#define SCX_GROUP(group) SCX_TAG("group=" group)

/*
 * A feature that not every supported kernel has, on a `const volatile bool`: the host sets it to whether the running
 * kernel has the feature, and prints the text, once, when it has not. `kind` is kfunc (present and well-formed), enum
 * (an enumerator) or member (struct.member). The policy must work without the variable: it is for information, and
 * policies decide with bpf_ksym_exists() and bpf_core_*_exists().
 */
#define SCX_FEATURE(kind, what, missing) SCX_TAG("feature=" #kind ":" #what) SCX_TAG("missing=" missing)

/*
 * With SCX_FEATURE, in an object that holds its scheduler in two forms, as a struct sched_ext_ops and as a struct
 * sched_ext_ops_cid: the host takes the cid form where the kernel has the feature, unless the configuration names a
 * struct_ops map. The variable then says which form was taken.
 */
#define SCX_FORM_CID SCX_TAG("form=cid")

/* On any global: the object cannot work without this kfunc. */
#define SCX_NEEDS(kfunc) SCX_TAG("needs=" #kfunc)
