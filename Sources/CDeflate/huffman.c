#include "huffman.h"

#include <string.h>

enum { SYMBOLS_MAX = 288, LENGTH_MAX = 15, SYMBOL_BITS = 9 };

void huffman_assign(huffman_code *codes, uint32_t size)
{
    uint32_t counts[LENGTH_MAX + 1] = {0}, next[LENGTH_MAX + 2] = {0};
    for (uint32_t i = 0; i < size; i++)
        counts[codes[i].length]++;
    counts[0] = 0;
    for (uint32_t length = 1; length <= LENGTH_MAX; length++)
        next[length + 1] = (next[length] + counts[length]) << 1;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t code = next[codes[i].length]++, reversed = 0;
        for (uint32_t bit = 0; bit < codes[i].length; bit++)
            reversed |= (code >> bit & 1) << (codes[i].length - 1 - bit);
        codes[i].bits = (uint16_t)reversed;
    }
}

/* Sorts by count, then symbol: both are in one number, so equal keys do not occur. */
static void sort(uint32_t *keys, uint32_t size)
{
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (uint32_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (uint32_t i = gaps[g]; i < size; i++) {
            uint32_t key = keys[i], j = i;
            for (; j >= gaps[g] && keys[j - gaps[g]] > key; j -= gaps[g])
                keys[j] = keys[j - gaps[g]];
            keys[j] = key;
        }
}

/*
 * How many leaves lie at each depth of a Huffman tree over sorted weights. Two queues: leaves not yet taken,
 * and inner nodes, whose weights come out sorted by themselves. `up` is first a node's parent, then its
 * depth.
 */
static void count_depths(const uint32_t *keys, uint32_t size, uint32_t *depths)
{
    uint32_t weight[SYMBOLS_MAX], up[SYMBOLS_MAX];
    uint32_t leaf = 0, inner = 0;
    uint16_t leaf_parent[SYMBOLS_MAX];
    for (uint32_t node = 0; node + 1 < size; node++) {
        weight[node] = 0;
        for (int child = 0; child < 2; child++) {
            uint32_t leaf_weight = leaf < size ? keys[leaf] >> SYMBOL_BITS : UINT32_MAX;
            if (inner < node && weight[inner] < leaf_weight) {
                weight[node] += weight[inner];
                up[inner++] = node;
            } else {
                weight[node] += leaf_weight;
                leaf_parent[leaf++] = (uint16_t)node;
            }
        }
    }
    up[size - 2] = 0;
    for (uint32_t node = size - 2; node-- > 0;)
        up[node] = up[up[node]] + 1;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t depth = up[leaf_parent[i]] + 1;
        depths[depth < SYMBOLS_MAX ? depth : SYMBOLS_MAX - 1]++;
    }
}

void huffman_build(const uint32_t *counts, uint32_t size, uint32_t limit, huffman_code *codes)
{
    uint32_t keys[SYMBOLS_MAX], used = 0;
    uint32_t depths[SYMBOLS_MAX] = {0};
    memset(codes, 0, size * sizeof *codes);
    for (uint32_t i = 0; i < size; i++)
        if (counts[i] > 0)
            keys[used++] = counts[i] << SYMBOL_BITS | i;
    for (uint32_t i = 0; used < 2; i++)
        if (counts[i] == 0)
            keys[used++] = 1 << SYMBOL_BITS | i;
    sort(keys, used);
    count_depths(keys, used, depths);

    /* Too deep leaves come up to the limit; then room is made by sending others one step down. */
    uint32_t room = 0; /* what the code takes, in units of 2^-limit; 2^limit is all there is */
    for (uint32_t depth = SYMBOLS_MAX - 1; depth > limit; depth--) {
        depths[limit] += depths[depth];
        depths[depth] = 0;
    }
    for (uint32_t depth = 1; depth <= limit; depth++)
        room += depths[depth] << (limit - depth);
    while (room > 1u << limit) {
        uint32_t depth = limit - 1;
        while (depths[depth] == 0)
            depth--;
        depths[depth]--;
        depths[depth + 1] += 2;
        depths[limit]--;
        room--;
    }
    /* The rarest symbols get the longest codes. */
    uint32_t next = 0;
    for (uint32_t depth = limit; depth >= 1; depth--)
        for (uint32_t i = 0; i < depths[depth]; i++)
            codes[keys[next++] & ((1 << SYMBOL_BITS) - 1)].length = (uint8_t)depth;
    huffman_assign(codes, size);
}
