/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The self-check of an arena slab: that the invariants which arena_slab.bpf.h states hold. It walks every list and every
 * entry, takes no lock, and says -EAGAIN when something moved meanwhile. Part of arena_slab.bpf.h, which includes it.
 */
#pragma once

/* Everything that moves an entry counts up one of these. */
static __noinline u64 scx_slab_moves(scx_slab_t *slab, void *caches)
{
	u64 moves = slab->moves + slab->aside_moves;
	u32 zero = 0;
	u32 cpu;

	bpf_for(cpu, 0, SCX_SLAB_MAX_CPUS) {
		struct scx_slab_cache *cache = bpf_map_lookup_percpu_elem(caches, &zero, cpu);

		if (!cache)
			break;
		moves += cache->moves;
	}
	return moves;
}

/* Marks the free entries of a list as met. Returns how many there are. */
static __noinline u64 scx_slab_walk(scx_slab_entry_t *entry, u32 check, struct scx_slab_report *report)
{
	u64 i, nr = 0;

	if (!report)
		return 0;
	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		if (!entry)
			break;
		if (entry->met == check) {
			report->doubled++;
			break; /* behind it follows what was met already, perhaps for ever */
		}
		if (entry->taken)
			report->wrong++;
		entry->met = check;
		nr++;
		entry = entry->next;
	}
	return nr;
}

static __noinline u64 scx_slab_walk_batches(scx_slab_batch_t *batch, u32 check, struct scx_slab_report *report)
{
	u64 i, nr = 0;

	if (!report)
		return 0;
	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		u64 found;

		if (!batch)
			break;
		found = scx_slab_walk(&batch->entry, check, report);
		if (found != batch->count) {
			report->wrong++;
			break;
		}
		nr += found;
		batch = batch->next;
	}
	return nr;
}

/* Looks at `nr` entries of a chunk: each is taken or was met. */
static __noinline void scx_slab_scan(scx_slab_chunk_t *chunk, u64 nr, u64 entry_size, u32 check,
				     struct scx_slab_report *report)
{
	char __arena *at = (char __arena *)(chunk + 1);
	u64 i;

	if (!report)
		return;
	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		scx_slab_entry_t *entry = (scx_slab_entry_t *)at;

		if (i >= nr)
			break;
		if (entry->taken)
			report->taken++;
		else if (entry->met != check)
			report->lost++;
		at += entry_size;
	}
}

/* One check at a time. */
static __always_inline int scx_slab_check(const struct scx_slab_parts *parts, u32 check, struct scx_slab_report *report)
{
	scx_slab_t *slab = parts->slab;
	u64 per_chunk = scx_slab_per_chunk(parts);
	u64 i, moves, fresh_index;
	scx_slab_chunk_t *chunk, *fresh;
	bool before = true;
	u32 zero = 0;
	u32 cpu;

	__builtin_memset(report, 0, sizeof(*report));
	moves = scx_slab_moves(slab, parts->caches);
	if (slab->busy)
		return -SCX_EAGAIN;
	fresh = slab->fresh;
	fresh_index = slab->fresh_index;

	bpf_for(cpu, 0, SCX_SLAB_MAX_CPUS) {
		struct scx_slab_cache *cache = bpf_map_lookup_percpu_elem(parts->caches, &zero, cpu);

		if (!cache)
			break;
		report->cached += scx_slab_walk(cache->loaded, check, report);
		report->cached += scx_slab_walk_batches(cache->spares, check, report);
	}
	report->shared = scx_slab_walk_batches(slab->free_head, check, report);
	report->shared += scx_slab_walk_batches(slab->aside, check, report);

	chunk = slab->first;
	bpf_for(i, 0, SCX_SLAB_WALK_MAX) {
		u64 used;

		if (!chunk)
			break;
		used = before ? per_chunk : 0;
		if (chunk == fresh) {
			used = fresh_index;
			before = false;
		}
		scx_slab_scan(chunk, used, parts->entry_size, check, report);
		report->fresh += per_chunk - used;
		chunk = chunk->next;
	}

	if (report->taken != slab->in_use)
		report->wrong++;
	if (slab->busy || scx_slab_moves(slab, parts->caches) != moves)
		return -SCX_EAGAIN;
	return report->lost || report->doubled || report->wrong || slab->bad_gives ? -SCX_EUCLEAN : 0;
}
