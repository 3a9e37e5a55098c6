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
 * Threads: the host calls the functions of one plugin instance from one thread at a time, never from a signal handler.
 * Errors: a callback returns 0 or a negative errno, and may say more through scxhost_host::report_error. No C++
 * exception may leave a callback (the SDK's shims see to it).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCXHOST_CONTRACT_MAJOR 1
#define SCXHOST_CONTRACT_MINOR 0

#define SCXHOST_INFO_MAGIC "SCXHOST" /* eight bytes with its terminator */
#define SCXHOST_INFO_SECTION ".scxhost.info"
#define SCXHOST_OBJECT_SECTION ".scxhost.object"
#define SCXHOST_PLUGIN_ENTRY "scxhost_plugin"

#define SCXHOST_NAME_MAX 64
#define SCXHOST_VERSION_MAX 32
#define SCXHOST_SUMMARY_MAX 160

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

/* A global variable of the BPF object. `data` is the host's, valid until the instance is destroyed; before load it is
 * the initial value, after load the live memory that the BPF programs use. Since 1.0. */
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

/* What the host offers to a plugin. The table and `context` stay valid until the instance is destroyed; every function
 * takes `context` first and may be called only from within a callback of the instance. Since 1.0. */
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
};

/* The user-space half of a plugin. Each member may be NULL; a plugin without user-space code has no table at all.
 * `instance` is what `create` returned (NULL when there is no `create`). Since 1.0. */
struct scxhost_plugin_callbacks {
	uint32_t size; /* sizeof, as the plugin was built */
	uint32_t reserved;

	/* Makes the instance. `host` outlives it. 0 and *instance, or a negative errno. */
	int32_t (*create)(const struct scxhost_host *host, void **instance);
	/* Ends the instance; called once for each successful create, after the BPF object is closed. Cannot fail. */
	void (*destroy)(void *instance);
	/* Options are bound, nothing is loaded: cross-check options, set further read-only data. Failure: a refused
	 * configuration; whatever scheduler runs is not touched. */
	int32_t (*configure)(void *instance);
	/* The object is loaded and verified, not attached: fill maps. Failure: as for configure. */
	int32_t (*loaded)(void *instance);
	/* The kernel has confirmed that the scheduler runs. Outside the swap gap. Failure is logged. */
	int32_t (*attached)(void *instance);
	/* At each statistics interval while the scheduler runs. Must return within 100 ms. Failure is logged. */
	int32_t (*tick)(void *instance);
	/* The scheduler is about to be detached, or the kernel has ejected it. Failure is logged. */
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
