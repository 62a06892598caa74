/*
 * fuzz_format.h
 *	  What the fuzz targets share.
 *
 * A target is a decoder and one function, LLVMFuzzerTestOneInput().  Most of
 * what it is given would end at the checksum; so a target with a checksum
 * tries its bytes twice, as they come and with the sum made right.
 */
#ifndef FUZZ_FORMAT_H
#define FUZZ_FORMAT_H

#include "postgres.h"

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* A copy of exactly this size, so that every byte beyond it is out of bounds. */
static inline char *
fuzz_copy(const uint8 *data, size_t size)
{
	char	   *copy = malloc(Max(size, 1));

	memcpy(copy, data, size);
	return copy;
}

/* The same of the data of a WAL record, with the version that follows them. */
static inline char *
fuzz_copy_record(const uint8 *data, size_t size, uint8 version)
{
	char	   *copy = malloc(size + 1);

	memcpy(copy, data, size);
	copy[size] = (char) version;
	return copy;
}

/* Read every byte, in a way that no compiler optimizes away. */
static inline void
fuzz_touch(const void *at, size_t size)
{
	static volatile uint8 sink;

	for (size_t i = 0; i < size; i++)
		sink ^= ((const uint8 *) at)[i];
}

#endif							/* FUZZ_FORMAT_H */
