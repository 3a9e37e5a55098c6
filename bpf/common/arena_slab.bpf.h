/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A slab in a BPF arena: entries of one size, handed out and given back in constant time, from memory that grows with
 * the need. Where tasks, cgroups or anything else that comes and goes needs a context with pointers to it.
 *
 *	struct my_ctx { struct scx_slab_entry entry; ... };		at least sizeof(struct scx_slab_batch) bytes
 *	struct scx_slab SCX_ARENA_GLOBAL my_slab;
 *	SCX_SLAB_DEFINE(my_ctxs, struct my_ctx, arena, &my_slab);
 *
 *	my_ctxs_init(max)	empties the slab, also one that was in use before; sleepable; 0 or -ENOMEM
 *	my_ctxs_take(&error)	an entry, its content undefined, or NULL and -ENOSPC (max are in use), -ENOMEM (no pages)
 *				or -EBUSY (the lock was not to be had); sleepable
 *	my_ctxs_give(ctx)	gives it back; from anywhere, also in an NMI; cannot fail
 *	my_ctxs_check(report)	the self-check; 0, -EAGAIN (disturbed by takes or gives: repeat) or -EUCLEAN
 *
 * How it works. Free entries are linked into batches. Each CPU has batches of its own, which only that CPU touches, with
 * interrupts off: no other CPU ever waits for them. Whole batches go to and come from a list that all CPUs share, under
 * a bpf_res_spin_lock, held for a few instructions: a batch is linked or unlinked in one step, and walking, threading
 * and allocating happen outside. When that list is empty, the next entries never used before are cut from the current
 * chunk; when that is used up, a chunk of pages is added. So init costs the same for any `max`, and memory follows the
 * highest number of entries that were in use at once.
 *
 * A virtual CPU can be off its processor for longer than bpf_res_spin_lock waits, with the lock. Not to get it is
 * therefore no error: give sets the batch aside, on a list that needs no lock, and take tries again, SCX_SLAB_TRIES
 * times, and then fails alone. The same list takes what an NMI gives back while it interrupts this CPU at its own
 * batches. It is added to by compare-and-swap, and only ever emptied as a whole, so that no batch can come back to it
 * while somebody removes it.
 *
 * Invariants, which the self-check proves when nothing moves:
 *   1. An entry is taken, or on exactly one list (of one CPU, shared or aside), or fresh (behind the slab's fresh_index).
 *   2. `taken` is set in the entry if and only if it is taken; in_use is the number of those, and at most max. It is
 *      counted when the entry is there, and no more when it is on its way back: whoever is told ENOSPC is told so because
 *      max entries were in use at that moment.
 *   3. An entry changes its list only inside a section with interrupts off, with the lock or, to and from those set
 *      aside, by one atomic instruction, and is private to the program that moves it in between.
 *   4. A CPU keeps at most the batch in use and SCX_SLAB_SPARES more, but for what it was brought in take.
 */
#pragma once

#include "arena.bpf.h"
#include "arena_slab.h"

#define SCX_SLAB_BATCH 32	/* entries that move between a CPU and the shared list together */
#define SCX_SLAB_SPARES 1	/* full batches that a CPU keeps besides the one in use */
#define SCX_SLAB_MAX_CPUS 8192	/* no kernel has more; a CPU that does not exist has no cache, which ends each walk */
#define SCX_SLAB_CHUNK_PAGES 8	/* a step of growth */
#define SCX_SLAB_WALK_MAX (8 << 20) /* longer lists are not walked: the limit of BPF's own loops */
#define SCX_SLAB_TRIES 8		/* attempts at the lock before take gives up: 250 ms each, in guests up to a second */

typedef struct scx_slab __arena scx_slab_t;
typedef struct scx_slab_entry __arena scx_slab_entry_t;
typedef struct scx_slab_batch __arena scx_slab_batch_t;
typedef struct scx_slab_chunk __arena scx_slab_chunk_t;

/* The free entries of one CPU: touched by that CPU alone, with interrupts off. */
struct scx_slab_cache {
	scx_slab_entry_t *loaded;
	scx_slab_batch_t *spares;
	u64 nr_loaded;
	u64 nr_spares;
	u64 moves;   /* so that the self-check sees that it was disturbed */
	u64 entered; /* a program is at them: who finds this set has interrupted it, which only an NMI can */
};

/* What the functions below work on. */
struct scx_slab_parts {
	scx_slab_t *slab;
	struct bpf_res_spin_lock *lock;
	void *arena;
	void *caches;
	u64 entry_size;
};

static __always_inline u64 scx_slab_per_chunk(const struct scx_slab_parts *parts)
{
	return (SCX_SLAB_CHUNK_PAGES * SCX_PAGE_SIZE - sizeof(struct scx_slab_chunk)) / parts->entry_size;
}

static __always_inline scx_slab_entry_t *scx_slab_at(const struct scx_slab_parts *parts, scx_slab_chunk_t *chunk,
						     u64 index)
{
	return (scx_slab_entry_t *)((char __arena *)(chunk + 1) + index * parts->entry_size);
}

static __always_inline struct scx_slab_cache *scx_slab_this_cache(const struct scx_slab_parts *parts)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(parts->caches, &zero);
}

/* Interrupts off. Around everything that touches the cache. */
static __always_inline void scx_slab_enter(struct scx_slab_cache *cache)
{
	cache->entered = 1;
	barrier();
}

static __always_inline void scx_slab_leave(struct scx_slab_cache *cache)
{
	barrier();
	cache->entered = 0;
}

/* Interrupts off. */
static __always_inline void scx_slab_cache_add(struct scx_slab_cache *cache, scx_slab_batch_t *batch)
{
	batch->next = cache->spares;
	cache->spares = batch;
	cache->nr_spares++;
	cache->moves++;
}

static __always_inline scx_slab_batch_t *scx_slab_cache_remove(struct scx_slab_cache *cache)
{
	scx_slab_batch_t *batch = cache->spares;

	if (batch) {
		cache->spares = batch->next;
		cache->nr_spares--;
		cache->moves++;
	}
	return batch;
}

static __always_inline scx_slab_entry_t *scx_slab_take_cached(const struct scx_slab_parts *parts)
{
	scx_slab_entry_t *entry = NULL;
	struct scx_slab_cache *cache;
	unsigned long irq;

	bpf_local_irq_save(&irq);
	cache = scx_slab_this_cache(parts);
	if (cache) {
		scx_slab_enter(cache);
		if (!cache->loaded) {
			scx_slab_batch_t *batch = scx_slab_cache_remove(cache);

			if (batch) {
				cache->loaded = &batch->entry;
				cache->nr_loaded = batch->count;
			}
		}
		entry = cache->loaded;
		if (entry) {
			cache->loaded = entry->next;
			cache->nr_loaded--;
			cache->moves++;
		}
		scx_slab_leave(cache);
	}
	bpf_local_irq_restore(&irq);
	return entry;
}

/* Gives a batch to this CPU. */
static __always_inline void scx_slab_keep(const struct scx_slab_parts *parts, scx_slab_batch_t *batch)
{
	struct scx_slab_cache *cache;
	unsigned long irq;

	bpf_local_irq_save(&irq);
	cache = scx_slab_this_cache(parts);
	if (cache) {
		scx_slab_enter(cache);
		scx_slab_cache_add(cache, batch);
		scx_slab_leave(cache);
	}
	bpf_local_irq_restore(&irq);
}

/* Adds the batches from first to last to those set aside. Each failure of one program is a success of another. */
static __noinline void scx_slab_set_aside(scx_slab_t *slab, scx_slab_batch_t *first, scx_slab_batch_t *last)
{
	scx_slab_batch_t *found = slab->aside;
	u64 i;

	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		scx_slab_batch_t *seen = found;

		last->next = seen;
		found = __sync_val_compare_and_swap(&slab->aside, seen, first);
		if (found == seen)
			break;
	}
	__sync_fetch_and_add(&slab->aside_moves, 1);
}

static __noinline scx_slab_batch_t *scx_slab_last(scx_slab_batch_t *batch)
{
	u64 i;

	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		if (!batch->next)
			break;
		batch = batch->next;
	}
	return batch;
}

/* One attempt to get a batch from the shared list, or a run of fresh entries: *batch NULL when there is neither. */
static __always_inline int scx_slab_unshare(const struct scx_slab_parts *parts, scx_slab_batch_t **batch, u64 *nr_fresh)
{
	scx_slab_t *slab = parts->slab;
	u64 per_chunk = scx_slab_per_chunk(parts);
	scx_slab_chunk_t *chunk;
	scx_slab_batch_t *found;
	u64 first = 0, nr = 0;
	unsigned long irq;

	if (bpf_res_spin_lock_irqsave(parts->lock, &irq)) {
		__sync_fetch_and_add(&slab->lock_retries, 1);
		return -SCX_EBUSY;
	}
	found = slab->free_head;
	chunk = slab->fresh;
	if (found) {
		slab->free_head = found->next;
	} else if (chunk) {
		first = slab->fresh_index;
		if (first >= per_chunk && chunk->next) {
			chunk = chunk->next;
			slab->fresh = chunk;
			first = 0;
		}
		nr = per_chunk - first;
		if (nr > SCX_SLAB_BATCH)
			nr = SCX_SLAB_BATCH;
		slab->fresh_index = first + nr;
	}
	slab->moves++;
	bpf_res_spin_unlock_irqrestore(parts->lock, &irq);

	if (nr)
		found = (scx_slab_batch_t *)scx_slab_at(parts, chunk, first);
	*batch = found;
	*nr_fresh = nr;
	return 0;
}

/* One attempt to put the batches from first to last on the shared list. */
static __always_inline int scx_slab_share(const struct scx_slab_parts *parts, scx_slab_batch_t *first,
					  scx_slab_batch_t *last)
{
	scx_slab_t *slab = parts->slab;
	unsigned long irq;

	if (bpf_res_spin_lock_irqsave(parts->lock, &irq)) {
		__sync_fetch_and_add(&slab->lock_retries, 1);
		return -SCX_EBUSY;
	}
	last->next = slab->free_head;
	slab->free_head = first;
	slab->moves++;
	bpf_res_spin_unlock_irqrestore(parts->lock, &irq);
	return 0;
}

/* Makes a batch of `nr` entries that follow one another in memory. */
static __always_inline void scx_slab_thread(const struct scx_slab_parts *parts, scx_slab_batch_t *batch, u64 nr)
{
	char __arena *entry = (char __arena *)batch;
	u64 i;

	batch->count = nr;
	bpf_for(i, 0, SCX_SLAB_BATCH) {
		scx_slab_entry_t *this = (scx_slab_entry_t *)entry;

		if (i >= nr)
			break;
		entry += parts->entry_size;
		this->taken = 0;
		this->met = 0;
		this->next = i + 1 < nr ? (scx_slab_entry_t *)entry : NULL;
	}
}

/* Adds a chunk. Several CPUs may do so at once; what is too much is used later. */
static __always_inline int scx_slab_grow(const struct scx_slab_parts *parts)
{
	scx_slab_t *slab = parts->slab;
	scx_slab_chunk_t *chunk;
	unsigned long irq;

	chunk = (scx_slab_chunk_t *)bpf_arena_alloc_pages(parts->arena, NULL, SCX_SLAB_CHUNK_PAGES, SCX_NUMA_NO_NODE, 0);
	if (!chunk)
		return -SCX_ENOMEM;
	chunk->next = NULL;
	if (bpf_res_spin_lock_irqsave(parts->lock, &irq)) {
		__sync_fetch_and_add(&slab->lock_retries, 1);
		bpf_arena_free_pages(parts->arena, (void __arena *)chunk, SCX_SLAB_CHUNK_PAGES);
		return -SCX_EBUSY;
	}
	if (slab->last)
		slab->last->next = chunk;
	else
		slab->first = chunk;
	slab->last = chunk;
	if (!slab->fresh) {
		slab->fresh = chunk;
		slab->fresh_index = 0;
	}
	slab->pages += SCX_SLAB_CHUNK_PAGES;
	slab->moves++;
	bpf_res_spin_unlock_irqrestore(parts->lock, &irq);
	return 0;
}

/* One of the batches set aside; the others go to the shared list. NULL: there is none. */
static __always_inline scx_slab_batch_t *scx_slab_take_aside(const struct scx_slab_parts *parts)
{
	scx_slab_t *slab = parts->slab;
	scx_slab_batch_t *first, *rest, *last;

	if (!slab->aside)
		return NULL;
	first = __sync_lock_test_and_set(&slab->aside, NULL);
	__sync_fetch_and_add(&slab->aside_moves, 1);
	if (!first)
		return NULL;
	rest = first->next;
	if (rest) {
		last = scx_slab_last(rest);
		if (scx_slab_share(parts, rest, last))
			scx_slab_set_aside(slab, rest, last);
	}
	return first;
}

/* Brings a batch to this CPU. 0 also when only memory was added: ask again. */
static __always_inline int scx_slab_refill(const struct scx_slab_parts *parts)
{
	scx_slab_batch_t *batch;
	u64 nr_fresh;
	int err;

	batch = scx_slab_take_aside(parts);
	if (batch) {
		scx_slab_keep(parts, batch);
		return 0;
	}
	err = scx_slab_unshare(parts, &batch, &nr_fresh);
	if (err)
		return err;
	if (!batch)
		return scx_slab_grow(parts);
	if (nr_fresh)
		scx_slab_thread(parts, batch, nr_fresh);
	scx_slab_keep(parts, batch);
	return 0;
}

static __always_inline void scx_slab_raise_high_water(scx_slab_t *slab, u64 in_use)
{
	u64 i, seen = slab->high_water;

	bpf_for(i, 0, 8) {
		u64 found;

		if (seen >= in_use)
			break;
		found = __sync_val_compare_and_swap(&slab->high_water, seen, in_use);
		if (found == seen)
			break;
		seen = found;
	}
}

/* Counts one more entry in use. Returns how many there are with it, or 0 when there may be no more. */
static __always_inline u64 scx_slab_count(scx_slab_t *slab)
{
	u64 i, seen = slab->in_use;

	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		u64 found;

		if (seen >= slab->capacity)
			break;
		found = __sync_val_compare_and_swap(&slab->in_use, seen, seen + 1);
		if (found == seen)
			return seen + 1;
		seen = found;
	}
	return 0;
}

/* Makes an entry free: with this CPU or, where its batches are complete, with all. */
static __always_inline void scx_slab_put(const struct scx_slab_parts *parts, scx_slab_entry_t *entry)
{
	scx_slab_batch_t *surplus = NULL;
	struct scx_slab_cache *cache;
	bool to_cache = false;
	unsigned long irq;

	bpf_local_irq_save(&irq);
	cache = scx_slab_this_cache(parts);
	if (cache && !cache->entered) {
		to_cache = true;
		scx_slab_enter(cache);
		if (cache->nr_loaded >= SCX_SLAB_BATCH) {
			scx_slab_batch_t *full = (scx_slab_batch_t *)cache->loaded;

			full->count = cache->nr_loaded;
			if (cache->nr_spares >= SCX_SLAB_SPARES)
				surplus = full;
			else
				scx_slab_cache_add(cache, full);
			cache->loaded = NULL;
			cache->nr_loaded = 0;
		}
		entry->next = cache->loaded;
		cache->loaded = entry;
		cache->nr_loaded++;
		cache->moves++;
		scx_slab_leave(cache);
	}
	bpf_local_irq_restore(&irq);

	if (!to_cache) {
		surplus = (scx_slab_batch_t *)entry;
		surplus->entry.next = NULL;
		surplus->count = 1;
	}
	if (surplus && (!to_cache || scx_slab_share(parts, surplus, surplus)))
		scx_slab_set_aside(parts->slab, surplus, surplus);
}

static __always_inline scx_slab_entry_t *scx_slab_take(const struct scx_slab_parts *parts, int *error)
{
	scx_slab_t *slab = parts->slab;
	scx_slab_entry_t *entry = NULL;
	int i, err = 0;
	u64 in_use = 0;

	__sync_fetch_and_add(&slab->busy, 1);
	bpf_for(i, 0, SCX_SLAB_TRIES) {
		if (slab->in_use >= slab->capacity) {
			err = -SCX_ENOSPC;
			break;
		}
		entry = scx_slab_take_cached(parts);
		if (entry)
			break;
		err = scx_slab_refill(parts);
		if (err == -SCX_ENOMEM)
			break;
	}
	if (entry) {
		in_use = scx_slab_count(slab);
		if (!in_use) { /* others were faster */
			scx_slab_put(parts, entry);
			entry = NULL;
			err = -SCX_ENOSPC;
		}
	}
	if (entry) {
		entry->next = NULL;
		entry->taken = 1;
		scx_slab_raise_high_water(slab, in_use);
		err = 0;
	} else {
		/* 0: others took what was brought, each time. */
		err = err ?: -SCX_EBUSY;
		if (err != -SCX_ENOSPC)
			__sync_fetch_and_add(&slab->failed, 1);
	}
	__sync_fetch_and_sub(&slab->busy, 1);
	*error = err;
	return entry;
}

static __always_inline void scx_slab_give(const struct scx_slab_parts *parts, scx_slab_entry_t *entry)
{
	scx_slab_t *slab = parts->slab;

	if (!entry->taken) {
		__sync_fetch_and_add(&slab->bad_gives, 1);
		return;
	}
	__sync_fetch_and_add(&slab->busy, 1);
	entry->taken = 0;
	__sync_fetch_and_sub(&slab->in_use, 1);
	scx_slab_put(parts, entry);
	__sync_fetch_and_sub(&slab->busy, 1);
}

static __always_inline int scx_slab_init(const struct scx_slab_parts *parts, u64 capacity)
{
	scx_slab_t *slab = parts->slab;
	u32 zero = 0;
	u32 cpu;

	bpf_for(cpu, 0, SCX_SLAB_MAX_CPUS) {
		struct scx_slab_cache *cache = bpf_map_lookup_percpu_elem(parts->caches, &zero, cpu);

		if (!cache)
			break;
		cache->loaded = NULL;
		cache->spares = NULL;
		cache->nr_loaded = 0;
		cache->nr_spares = 0;
		cache->entered = 0;
	}
	/* Nobody else is there yet. Memory of an earlier use is used again from its start. */
	slab->free_head = NULL;
	slab->aside = NULL;
	slab->fresh = slab->first;
	slab->fresh_index = 0;
	slab->busy = 0;
	slab->in_use = 0;
	slab->high_water = 0;
	slab->capacity = capacity;
	slab->lock_retries = 0;
	slab->failed = 0;
	slab->bad_gives = 0;
	return slab->first ? 0 : scx_slab_grow(parts);
}

#include "arena_slab_check.bpf.h"

#define SCX_SLAB_DEFINE(name, entry_type, arena_map, slab_address)							\
	_Static_assert(sizeof(entry_type) >= sizeof(struct scx_slab_batch) && sizeof(entry_type) % 8 == 0, "entry too small");	\
	struct bpf_res_spin_lock name##_lock SCX_OWN_SECTION(name##_lock);					\
	struct {												\
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);							\
		__uint(max_entries, 1);										\
		__type(key, u32);										\
		__type(value, struct scx_slab_cache);								\
	} name##_caches SEC(".maps");										\
														\
	static __always_inline struct scx_slab_parts name##_parts(void)						\
	{													\
		return (struct scx_slab_parts){									\
			.slab = slab_address,									\
			.lock = &name##_lock,									\
			.arena = &arena_map,									\
			.caches = &name##_caches,								\
			.entry_size = sizeof(entry_type),								\
		};												\
	}													\
														\
	static __always_inline int name##_init(u64 max)								\
	{													\
		struct scx_slab_parts parts = name##_parts();							\
														\
		return scx_slab_init(&parts, max);								\
	}													\
														\
	static __always_inline entry_type __arena *name##_take(int *error)						\
	{													\
		struct scx_slab_parts parts = name##_parts();							\
														\
		return (entry_type __arena *)scx_slab_take(&parts, error);						\
	}													\
														\
	static __always_inline void name##_give(entry_type __arena *entry)						\
	{													\
		struct scx_slab_parts parts = name##_parts();							\
														\
		scx_slab_give(&parts, (scx_slab_entry_t *)entry);						\
	}													\
														\
	/* `check` differs from one call to the next and is not 0. */						\
	static __always_inline int name##_check(u32 check, struct scx_slab_report *report)			\
	{													\
		struct scx_slab_parts parts = name##_parts();							\
														\
		return scx_slab_check(&parts, check, report);							\
	}													\
	_Static_assert(1, "")
