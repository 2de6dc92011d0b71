#ifndef KILN_HUFFMAN_H
#define KILN_HUFFMAN_H

#include <stdint.h>

typedef struct {
    uint16_t bits;   /* reversed: DEFLATE sends codes from their first bit on */
    uint8_t length;  /* 0 where the symbol has no code */
} huffman_code;

/*
 * Gives symbols the canonical prefix codes of RFC 1951 with at most `limit` bits, as short in sum as the
 * limit allows (to within a rounding of the limit). At least two symbols get a code, because some decoders
 * refuse incomplete ones. At most 288 symbols, fewer than 2^23 occurrences each.
 */
void huffman_build(const uint32_t *counts, uint32_t size, uint32_t limit, huffman_code *codes);

/* Gives the codes that follow from their lengths. */
void huffman_assign(huffman_code *codes, uint32_t size);

#endif
