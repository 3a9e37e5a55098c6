/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the two halves of the faulty plugin. */
#pragma once

/* The callback of the user-space half that throws. */
enum throws {
	THROWS_NOTHING,
	THROWS_CREATE,
	THROWS_CONFIGURE,
	THROWS_LOADED,
	THROWS_ATTACHED,
	THROWS_TICK,
	THROWS_DETACHING,
};
