/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plugin contract: everything that crosses the boundary between the host and a scheduler plugin. C, no libbpf
 * type, no STL. Plugins link neither the host nor libbpf; they export one function, SCXHOST_PLUGIN_ENTRY, and reach
 * the host through the table of functions that they are given.
 *
 * Rules that keep old plugins and new hosts (and the reverse) working together:
 *  - every struct that crosses starts with its size in bytes; fields are only appended; a field is present when the
 *    size says so; bytes beyond the struct that the reader knows must be zero;
 *  - a host accepts a plugin whose contract major equals its own and whose minor is not newer;
 *  - struct scxhost_plugin_info also stands, byte for byte, in the ELF section SCXHOST_INFO_SECTION, and the BPF
 *    object in SCXHOST_OBJECT_SECTION, so that a plugin is listed, inspected and checked without running its code.
 *
 * Threads: all code of a plugin runs on one thread, which belongs to the instance: its library's constructors, the entry
 * function and every callback, one after the other. It is an ordinary thread with all signals blocked: the host's own
 * goes on supervising whatever the plugin does.
 * Time: create, configure, loaded and destroy may take SCXHOST_PREPARING_MS each, every other call SCXHOST_RUNNING_MS.
 * Of a call that takes longer the host says that it hangs, by name, and does not wait for it.
 * Errors: a callback returns 0 or a negative errno, and may say more through scxhost_host::report_error. No C++
 * exception may leave a callback (the SDK's shims see to it).
 *
 * docs/contract.md is the reference.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCXHOST_CONTRACT_MAJOR 1
#define SCXHOST_CONTRACT_MINOR 1

#define SCXHOST_INFO_MAGIC "SCXHOST" /* eight bytes with its terminator */
#define SCXHOST_INFO_SECTION ".scxhost.info"
#define SCXHOST_OBJECT_SECTION ".scxhost.object"
#define SCXHOST_PLUGIN_ENTRY "scxhost_plugin"

#define SCXHOST_NAME_MAX 64
#define SCXHOST_VERSION_MAX 32
#define SCXHOST_SUMMARY_MAX 160
#define SCXHOST_STATISTICS_MAX 256 /* that one instance may add. Since 1.1 */

#define SCXHOST_PREPARING_MS 10000 /* allowed to a call while nothing of the plugin runs in the kernel */
#define SCXHOST_RUNNING_MS 1000	   /* allowed to a call while it does; what needs longer has a thread of its own */

/* What a plugin is. Texts are UTF-8, terminated within their arrays, the rest zero. Holds no pointer. Since 1.0. */
struct scxhost_plugin_info {
	char magic[8];		 /* SCXHOST_INFO_MAGIC */
	uint32_t size;		 /* sizeof(struct scxhost_plugin_info) as the plugin was built */
	uint16_t contract_major; /* SCXHOST_CONTRACT_MAJOR as the plugin was built */
	uint16_t contract_minor;
	char name[SCXHOST_NAME_MAX];	   /* [A-Za-z0-9_-]+, equal to the file's name without ".so" */
	char version[SCXHOST_VERSION_MAX]; /* of the plugin, free text */
	char summary[SCXHOST_SUMMARY_MAX]; /* one line for `scxhost list` */
	char struct_ops[SCXHOST_NAME_MAX]; /* the struct_ops map to attach; empty: the object's only one */
	uint64_t capabilities;		   /* reserved for SCXHOST_CAP_* bits; zero in 1.0 */
};

enum scxhost_log_level {
	SCXHOST_LOG_DEBUG = 0,
	SCXHOST_LOG_INFO = 1,
	SCXHOST_LOG_WARNING = 2,
	SCXHOST_LOG_ERROR = 3,
};

/* A global variable of the BPF object. `data` is the host's, valid until the instance is destroyed, or its section
 * resized; before load it is the initial value, after load the live memory that the BPF programs use. Since 1.0. */
struct scxhost_variable {
	uint32_t size;	   /* sizeof, set by the caller */
	uint32_t writable; /* 0: the kernel has frozen it (read-only data after load); a write would fault */
	void *data;
	size_t bytes;
};

/* A BPF map of the object, after load. The descriptor stays the host's: do not close it. Since 1.0. */
struct scxhost_map {
	uint32_t size; /* sizeof, set by the caller */
	int32_t fd;
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
};

enum scxhost_statistic_kind {
	SCXHOST_COUNTER = 0, /* grows; shown with its rate */
	SCXHOST_GAUGE = 1,
};

/* A statistic that the user-space half sets, shown beside those that the BPF object declares. Texts are copied; all but
 * `name` may be NULL. Since 1.1. */
struct scxhost_statistic {
	uint32_t size;	  /* sizeof, set by the caller */
	uint32_t kind;	  /* enum scxhost_statistic_kind */
	const char *name; /* [A-Za-z0-9_.-]+, as no other statistic of the scheduler is called */
	const char *help; /* one line */
	const char *unit;
	const char *group; /* neighbours of one group are shown under it as their heading */
};

/* Takes one record of a ring buffer: `data` is aligned to 8 bytes and valid during the call. 0 or a negative errno, which
 * is logged; the record is gone in any case. Since 1.1. */
typedef int32_t (*scxhost_event_handler)(void *cookie, const void *data, size_t bytes);

/* What the host offers to a plugin. The table and `context` stay valid until the instance is destroyed; every function
 * takes `context` first and may be called only from within a callback of the instance, on its thread. A field is there
 * when `size` says so. Since 1.0. */
struct scxhost_host {
	uint32_t size;
	uint16_t contract_major;
	uint16_t contract_minor;
	void *context;

	/* Writes one line to the host's log. `message` is copied. */
	void (*log)(void *context, int32_t level, const char *message);
	/* Says why the callback that is running is about to fail: shown to the user. `hint` may be NULL; both are copied. */
	void (*report_error)(void *context, const char *message, const char *hint);
	/* Finds a global by its name in the BPF source. 0, or -ENOENT, or -EINVAL for a bad `out->size`. */
	int32_t (*find_variable)(void *context, const char *name, struct scxhost_variable *out);
	/* Finds a map by its name in the BPF source. 0, -ENOENT, -EINVAL, or -EAGAIN before the object is loaded. */
	int32_t (*find_map)(void *context, const char *name, struct scxhost_map *out);

	/* Since 1.1 */

	/* Adds a statistic, at first 0; in create, configure or loaded. Its number, 0 or more, or -EINVAL (size, kind or
	 * name), -EEXIST (the name is taken), -ENOSPC (SCXHOST_STATISTICS_MAX), -EBUSY (later than in loaded). */
	int32_t (*add_statistic)(void *context, const struct scxhost_statistic *statistic);
	/* Sets one. The only function that any thread may call, until destroy returns; it never waits. 0 or -EINVAL. */
	int32_t (*set_statistic)(void *context, int32_t number, int64_t value);
	/* From now on `handler` gets the records that the BPF programs put into this map, which must be a ring buffer
	 * (BPF_MAP_TYPE_RINGBUF), each on the instance's thread, between callbacks. 0, -ENOENT, -EINVAL (no handler, no ring
	 * buffer), -EEXIST (it has a handler), -EAGAIN before the object is loaded, or what the kernel said. */
	int32_t (*watch_events)(void *context, const char *map, scxhost_event_handler handler, void *cookie);
	/* Runs a program of the object once, now, and waits for it: the way to ask something of the BPF side. It must be of
	 * type BPF_PROG_TYPE_SYSCALL, SEC("syscall"). Its context is a copy of the `bytes` at `argument`, at most 65535, and
	 * is copied back; `result`, unless NULL, is what it returns. 0, -ENOENT, -EINVAL (of another type), -EAGAIN before
	 * the object is loaded, or what the kernel said. */
	int32_t (*run_program)(void *context, const char *program, void *argument, size_t bytes, int32_t *result);
	/* Gives a map so many entries, or an array that is the last variable of its data section so many elements, of which
	 * the further ones are 0; in create or configure. The variables of that section are then to be found again: where
	 * they were is void. 0, -ENOENT, -EINVAL (no such array or map, or no such size), -EBUSY once the object is loaded. */
	int32_t (*resize)(void *context, const char *name, uint32_t entries);
	/* Adds a flag of sched_ext_ops, "SCX_OPS_ENQ_LAST", to those that the object has; in create or configure. 0, -ENOENT
	 * (this kernel has no such flag), -EINVAL (it is none), -EBUSY once the object is loaded. */
	int32_t (*set_flag)(void *context, const char *flag);
};

/* The user-space half of a plugin. Since 1.0.
 *
 * Of all callbacks: none is required, a member may be NULL, and a plugin without user-space code has no table at all. They
 * are called on the instance's own thread, one after the other; `instance` is what `create` returned (NULL when there is
 * no `create`). Those that return a number return 0 or a negative errno.
 *
 *   order: create, configure, loaded, then (attached, tick..., detaching) as often as the scheduler is attached, perhaps
 *   never, then destroy. `destroy` follows every `create` that succeeded, and nothing follows one that did not.
 *
 * The examples have a plugin that keeps a weight for each cgroup in a map "weights" and has an option "reserve" in percent,
 * whose variable is reserve_pct. */
struct scxhost_plugin_callbacks {
	uint32_t size; /* sizeof, as the plugin was built */
	uint32_t reserved;

	/* What for:  to make the instance, and to keep `host`, which outlives it, for all later calls.
	 * Required:  when the others need something of their own to work on.
	 * When:      the options are bound, no BPF program is loaded; whatever scheduler runs goes on.
	 * Time:      SCXHOST_PREPARING_MS.
	 * Failure:   the request to run this scheduler is refused, with the plugin's words.
	 * Example:   struct mine *mine = calloc(1, sizeof *mine);
	 *            if (mine == NULL) return -ENOMEM;
	 *            mine->host = host; *instance = mine; return 0; */
	int32_t (*create)(const struct scxhost_host *host, void **instance);

	/* What for:  to end the instance: join the threads that it started, free what it holds.
	 * Required:  when `create` holds anything.
	 * When:      last of all; the BPF object is closed, so no variable or map may be touched any more, and the library is
	 *            unloaded next.
	 * Time:      SCXHOST_PREPARING_MS.
	 * Failure:   cannot fail.
	 * Example:   free(instance); */
	void (*destroy)(void *instance);

	/* What for:  to check options against one another or against the machine, and to set read-only variables that no
	 *            option sets, which are fixed from the load on, sizes of maps and arrays, and flags.
	 * Required:  no; limits of a single option are declared beside its variable, and checked by the host.
	 * When:      after `create`, before the object is loaded; whatever scheduler runs goes on.
	 * Time:      SCXHOST_PREPARING_MS.
	 * Failure:   the configuration is refused; say why with report_error. `scxhost check` comes as far as this.
	 * Example:   struct scxhost_variable v = { .size = sizeof v };
	 *            if (host->find_variable(host->context, "reserve_pct", &v) == 0 && *(uint32_t *)v.data > 50) {
	 *                    host->report_error(host->context, "reserve is above half of the machine", "lower reserve");
	 *                    return -EINVAL;
	 *            } */
	int32_t (*configure)(void *instance);

	/* What for:  to fill maps, add statistics, ask for events: what must be there before the first task is scheduled.
	 * Required:  no.
	 * When:      the maps are made and the programs verified, but not attached; whatever scheduler runs goes on. It may
	 *            never be attached (`scxhost check`, a standby).
	 * Time:      SCXHOST_PREPARING_MS.
	 * Failure:   the request to run this scheduler is refused.
	 * Example:   struct scxhost_map weights = { .size = sizeof weights };
	 *            int32_t err = host->find_map(host->context, "weights", &weights);
	 *            if (err != 0) return err;
	 *            ... and bpf(BPF_MAP_UPDATE_ELEM, ...) on weights.fd */
	int32_t (*loaded)(void *instance);

	/* What for:  to begin what makes sense beside a running scheduler only: a thread, a clock of one's own.
	 * Required:  no.
	 * When:      the kernel has confirmed that this scheduler runs; the swap is over. Once for each attach: it comes again
	 *            after `detaching` when the scheduler is rolled back to.
	 * Time:      SCXHOST_RUNNING_MS. The thread is scheduled by this very scheduler.
	 * Failure:   logged as a warning; the scheduler goes on.
	 * Example:   mine->since = now(); return 0; */
	int32_t (*attached)(void *instance);

	/* What for:  periodic work: statistics of the user-space half, slow control of variables and maps.
	 * Required:  no.
	 * When:      at each `stats.interval` while the scheduler runs, but not while an earlier call has not returned. What
	 *            it sets with set_statistic belongs to the sample that is taken next.
	 * Time:      SCXHOST_RUNNING_MS; what takes longer has a thread of its own.
	 * Failure:   logged as a warning; the next one comes all the same.
	 * Example:   host->set_statistic(host->context, mine->nr_cgroups, count_cgroups()); return 0; */
	int32_t (*tick)(void *instance);

	/* What for:  to end what `attached` began, before the next scheduler comes.
	 * Required:  when `attached` began anything.
	 * When:      the scheduler is about to be detached, or the kernel has ejected it already.
	 * Time:      SCXHOST_RUNNING_MS; then the host detaches all the same. After an ejection it does not wait at all.
	 * Failure:   logged as a warning.
	 * Example:   stop_thread(mine); return 0; */
	int32_t (*detaching)(void *instance);
};

/* What the entry function returns: constant data of the plugin, valid as long as the library is loaded. Since 1.0. */
struct scxhost_plugin_descriptor {
	uint32_t size; /* sizeof, as the plugin was built */
	uint32_t reserved;
	const struct scxhost_plugin_info *info; /* the bytes in SCXHOST_INFO_SECTION */
	const void *object;			/* the bytes in SCXHOST_OBJECT_SECTION */
	size_t object_bytes;
	const struct scxhost_plugin_callbacks *callbacks; /* NULL: no user-space half */
};

typedef const struct scxhost_plugin_descriptor *(*scxhost_plugin_entry)(void);

#ifdef __cplusplus
}
#endif
