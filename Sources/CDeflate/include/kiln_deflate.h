#ifndef KILN_DEFLATE_H
#define KILN_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A DEFLATE (RFC 1951) compressor whose output is a function of its input alone: the same bytes on every
 * processor, compiler and release, so that the digest of a layer never depends on the host that baked it.
 * Changing anything that alters the output changes every image digest: treat it as a format.
 */

/* Input of one call is at most this long. */
#define KILN_DEFLATE_CHUNK ((size_t)256 * 1024)

/* Output of one call is never longer than this. */
#define KILN_DEFLATE_BOUND (KILN_DEFLATE_CHUNK + 8 * 1024)

typedef struct kiln_deflate kiln_deflate;

/* A compressor at the start of a stream; NULL without memory. */
kiln_deflate *kiln_deflate_create(void);
void kiln_deflate_destroy(kiln_deflate *state);

/*
 * Compresses `size` (at most KILN_DEFLATE_CHUNK) more bytes into `output`, which has room for
 * KILN_DEFLATE_BOUND, and returns how many bytes it wrote. The last call of a stream has `is_last` set; it
 * may be empty, and it leaves the compressor ready for a new stream. Where a stream is cut into calls decides
 * its bytes: callers that want the same output feed full chunks.
 */
size_t kiln_deflate_run(kiln_deflate *state, const uint8_t *input, size_t size, int is_last, uint8_t *output);

/* KILN_DEFLATE_BOUND for languages that cannot read them. */
size_t kiln_deflate_bound(void);

#endif
