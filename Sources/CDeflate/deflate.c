/*
 * One pass: each position's four bytes are looked up in a small hash table of recent places, matches are
 * taken greedily, and every block is written in the shortest of the three ways that DEFLATE knows. All
 * decisions are made in whole numbers of fixed width, so the output depends on nothing but the input.
 */
#include "kiln_deflate.h"
#include "huffman.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 32768,
    HASH_BITS = 14,
    WAYS = 2,
    MIN_MATCH = 4,
    MAX_MATCH = 258,
    /* A block ends after so many matches or so many bytes, whichever comes first. */
    BLOCK_SEQUENCES = 12 * 1024,
    BLOCK_BYTES = 96 * 1024,
    STORED_MAX = 65535,
    /* Bytes behind the data that eight-byte loads may touch. */
    SLACK = 16,
    /* After 2^SKIP_SHIFT literals in a row the search begins to step: packed content is not worth more. */
    SKIP_SHIFT = 7,
    SKIP_MAX = 16,
    LITERALS = 286,
    DISTANCES = 30,
    END_OF_BLOCK = 256
};

typedef struct {
    uint32_t literals; /* how many literals come first */
    uint16_t length;   /* then a match of this length; 0 at the end of a block */
    uint16_t distance; /* less one, so that 32768 fits */
} sequence;

struct kiln_deflate {
    uint64_t bits;
    uint32_t bit_count;
    uint32_t history;  /* bytes of the stream before the chunk that are still in `data` */
    /* Of data[0] in the stream, plus WINDOW + 1, modulo 2^32: a zero in `places` is always too far off. */
    uint32_t position;
    uint32_t places[1 << HASH_BITS][WAYS];
    uint32_t literal_counts[LITERALS];
    uint32_t distance_counts[DISTANCES];
    sequence sequences[BLOCK_SEQUENCES + 1];
    uint8_t length_symbols[MAX_MATCH + 1]; /* less 257 */
    uint8_t distance_symbols[512];         /* of distance-1 < 256; of (distance-1) >> 7 from 256 on */
    uint8_t data[WINDOW + 256 * 1024 + SLACK];
};

static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                           33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                           1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                           6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
static const uint8_t code_length_order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                              11, 4,  12, 3, 13, 2, 14, 1, 15};

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline void store64(uint8_t *p, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(p, &value, 8);
}

static inline uint32_t hash(uint32_t value) { return (value * UINT32_C(0x9E3779B1)) >> (32 - HASH_BITS); }

/* How many bytes agree, from `length` on, up to `limit`. */
static inline uint32_t extend(const uint8_t *a, const uint8_t *b, uint32_t length, uint32_t limit)
{
    while (length + 8 <= limit) {
        uint64_t difference = load64(a + length) ^ load64(b + length);
        if (difference != 0)
            return length + ((uint32_t)__builtin_ctzll(difference) >> 3);
        length += 8;
    }
    while (length < limit && a[length] == b[length])
        length++;
    return length;
}

static inline uint32_t distance_symbol(const kiln_deflate *s, uint32_t less_one)
{
    return s->distance_symbols[less_one < 256 ? less_one : 256 + (less_one >> 7)];
}

static void begin_stream(kiln_deflate *s)
{
    s->bits = 0;
    s->bit_count = 0;
    s->history = 0;
    s->position = WINDOW + 1;
    memset(s->places, 0, sizeof s->places);
}

kiln_deflate *kiln_deflate_create(void)
{
    kiln_deflate *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    for (uint32_t symbol = 0; symbol < 29; symbol++) {
        uint32_t end = symbol == 28 ? 259 : (uint32_t)length_base[symbol] + (1u << length_extra[symbol]);
        for (uint32_t length = length_base[symbol]; length < end && length <= MAX_MATCH; length++)
            s->length_symbols[length] = (uint8_t)symbol;
    }
    for (uint32_t symbol = 0; symbol < 30; symbol++)
        for (uint32_t i = 0; i < 1u << distance_extra[symbol]; i++) {
            uint32_t less_one = distance_base[symbol] - 1u + i;
            s->distance_symbols[less_one < 256 ? less_one : 256 + (less_one >> 7)] = (uint8_t)symbol;
        }
    begin_stream(s);
    return s;
}

void kiln_deflate_destroy(kiln_deflate *state) { free(state); }

size_t kiln_deflate_bound(void) { return KILN_DEFLATE_BOUND; }

/* Bits go out from the lowest on. After `flush` at most 7 are kept, so 56 more fit. */
typedef struct {
    uint64_t bits;
    uint32_t count;
    uint8_t *next;
} writer;

static inline void put(writer *w, uint64_t bits, uint32_t count)
{
    w->bits |= bits << w->count;
    w->count += count;
}

static inline void flush(writer *w)
{
    store64(w->next, w->bits);
    w->next += w->count >> 3;
    w->bits >>= w->count & ~7u;
    w->count &= 7;
}

static void put_stored(writer *w, const uint8_t *data, uint32_t size, int is_last)
{
    do {
        uint32_t part = size < STORED_MAX ? size : STORED_MAX;
        put(w, (uint64_t)(is_last && part == size), 3);
        w->count = (w->count + 7) & ~7u;
        flush(w);
        put(w, (uint64_t)part | (uint64_t)(part ^ 0xffff) << 16, 32);
        flush(w);
        memcpy(w->next, data, part);
        w->next += part;
        data += part;
        size -= part;
    } while (size > 0);
}

static void put_sequences(
    const kiln_deflate *s, writer *out, const uint8_t *data, const huffman_code *literal_code,
    const huffman_code *distance_code)
{
    writer w = *out;
    uint32_t lengths[MAX_MATCH + 1]; /* code and extra bits of a match length; count in the top byte */
    for (uint32_t length = 3; length <= MAX_MATCH; length++) {
        uint32_t symbol = s->length_symbols[length];
        huffman_code code = literal_code[257 + symbol];
        lengths[length] = code.bits | (length - length_base[symbol]) << code.length
            | (uint32_t)(code.length + length_extra[symbol]) << 24;
    }
    for (const sequence *next = s->sequences;; next++) {
        uint32_t run = next->literals;
        for (; run >= 4; run -= 4, data += 4) {
            for (int i = 0; i < 4; i++)
                put(&w, literal_code[data[i]].bits, literal_code[data[i]].length);
            flush(&w);
        }
        for (; run > 0; run--, data++)
            put(&w, literal_code[*data].bits, literal_code[*data].length);
        flush(&w);
        if (next->length == 0)
            break;
        put(&w, lengths[next->length] & 0xffffff, lengths[next->length] >> 24);
        uint32_t symbol = distance_symbol(s, next->distance);
        put(&w, distance_code[symbol].bits, distance_code[symbol].length);
        put(&w, next->distance - (distance_base[symbol] - 1u), distance_extra[symbol]);
        flush(&w);
        data += next->length;
    }
    put(&w, literal_code[END_OF_BLOCK].bits, literal_code[END_OF_BLOCK].length);
    flush(&w);
    *out = w;
}

/* The code lengths of a dynamic block, run-length coded as RFC 1951, 3.2.7 has it. */
typedef struct {
    uint8_t symbol[LITERALS + DISTANCES];
    uint8_t extra[LITERALS + DISTANCES];
    uint32_t count;
    uint32_t literals, distances, ordered; /* HLIT + 257, HDIST + 1, HCLEN + 4 */
    huffman_code code[19];
    uint32_t bits; /* all of it, with the 14 bits of the three counts */
} code_lengths;

static void plan_code_lengths(code_lengths *plan, const huffman_code *literal, const huffman_code *distance)
{
    uint8_t all[LITERALS + DISTANCES];
    uint32_t counts[19] = {0};
    uint32_t size = 0;
    plan->literals = LITERALS;
    while (plan->literals > 257 && literal[plan->literals - 1].length == 0)
        plan->literals--;
    plan->distances = DISTANCES;
    while (plan->distances > 1 && distance[plan->distances - 1].length == 0)
        plan->distances--;
    for (uint32_t i = 0; i < plan->literals; i++)
        all[size++] = literal[i].length;
    for (uint32_t i = 0; i < plan->distances; i++)
        all[size++] = distance[i].length;
    plan->count = 0;
    for (uint32_t i = 0; i < size;) {
        uint32_t run = 1;
        while (i + run < size && all[i + run] == all[i])
            run++;
        uint32_t symbol = all[i], used = 1, extra = 0;
        if (symbol == 0 && run >= 3) {
            used = run < 138 ? run : 138;
            symbol = used <= 10 ? 17 : 18;
            extra = used - (symbol == 17 ? 3 : 11);
        } else if (i > 0 && all[i - 1] == symbol && run >= 3) {
            used = run < 6 ? run : 6;
            symbol = 16;
            extra = used - 3;
        }
        counts[symbol]++;
        plan->symbol[plan->count] = (uint8_t)symbol;
        plan->extra[plan->count++] = (uint8_t)extra;
        i += used;
    }
    huffman_build(counts, 19, 7, plan->code);
    plan->ordered = 19;
    while (plan->ordered > 4 && plan->code[code_length_order[plan->ordered - 1]].length == 0)
        plan->ordered--;
    plan->bits = 14 + 3 * plan->ordered + 2 * counts[16] + 3 * counts[17] + 7 * counts[18];
    for (uint32_t i = 0; i < 19; i++)
        plan->bits += counts[i] * plan->code[i].length;
}

static void put_code_lengths(writer *w, const code_lengths *plan)
{
    put(w, (plan->literals - 257) | (plan->distances - 1) << 5 | (plan->ordered - 4) << 10, 14);
    for (uint32_t i = 0; i < plan->ordered; i++) {
        flush(w);
        put(w, plan->code[code_length_order[i]].length, 3);
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        static const uint8_t extra_bits[3] = {2, 3, 7};
        uint32_t symbol = plan->symbol[i];
        flush(w);
        put(w, plan->code[symbol].bits, plan->code[symbol].length);
        if (symbol >= 16)
            put(w, plan->extra[i], extra_bits[symbol - 16]);
    }
    flush(w);
}

static uint64_t coded_bits(const kiln_deflate *s, const huffman_code *literal, const huffman_code *distance)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < LITERALS; i++)
        bits += (uint64_t)s->literal_counts[i] * (literal[i].length + (i < 257 ? 0u : length_extra[i - 257]));
    for (uint32_t i = 0; i < DISTANCES; i++)
        bits += (uint64_t)s->distance_counts[i] * (distance[i].length + (uint32_t)distance_extra[i]);
    return bits;
}

static void put_block(kiln_deflate *s, writer *w, const uint8_t *data, uint32_t size, int is_last)
{
    huffman_code literal[LITERALS + 2], distance[DISTANCES + 2];
    huffman_code fixed_literal[LITERALS + 2], fixed_distance[DISTANCES + 2];
    code_lengths plan;
    s->literal_counts[END_OF_BLOCK]++;
    /* At most 14 bits, so that four literals fit between two flushes. */
    huffman_build(s->literal_counts, LITERALS, 14, literal);
    huffman_build(s->distance_counts, DISTANCES, 15, distance);
    plan_code_lengths(&plan, literal, distance);
    for (uint32_t i = 0; i < LITERALS + 2; i++)
        fixed_literal[i].length = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    for (uint32_t i = 0; i < DISTANCES + 2; i++)
        fixed_distance[i].length = 5;
    uint64_t dynamic = plan.bits + coded_bits(s, literal, distance);
    uint64_t fixed = coded_bits(s, fixed_literal, fixed_distance);
    uint64_t stored = 8 * (uint64_t)size + 40 * ((uint64_t)size / STORED_MAX + 1);
    if (stored <= dynamic && stored <= fixed) {
        put_stored(w, data, size, is_last);
    } else if (fixed <= dynamic) {
        huffman_assign(fixed_literal, LITERALS + 2);
        huffman_assign(fixed_distance, DISTANCES + 2);
        put(w, (uint64_t)is_last | (1 << 1), 3);
        flush(w);
        put_sequences(s, w, data, fixed_literal, fixed_distance);
    } else {
        put(w, (uint64_t)is_last | (2 << 1), 3);
        flush(w);
        put_code_lengths(w, &plan);
        put_sequences(s, w, data, literal, distance);
    }
    memset(s->literal_counts, 0, sizeof s->literal_counts);
    memset(s->distance_counts, 0, sizeof s->distance_counts);
}

/* Remembers the place of the four bytes at `index`. */
static inline void remember(kiln_deflate *s, uint32_t index)
{
    uint32_t *bucket = s->places[hash(load32(s->data + index))];
    bucket[1] = bucket[0];
    bucket[0] = s->position + index;
}

size_t kiln_deflate_run(
    kiln_deflate *s, const uint8_t *input, size_t input_size, int is_last, uint8_t *output)
{
    writer w = {s->bits, s->bit_count, output};
    if (input_size > KILN_DEFLATE_CHUNK)
        abort();
    const uint32_t begin = s->history, end = begin + (uint32_t)input_size;
    if (input_size > 0)
        memcpy(s->data + begin, input, input_size);
    memset(s->data + end, 0, SLACK);

    uint32_t index = begin;
    while (index < end || (index == begin && is_last)) {
        const uint32_t block = index;
        sequence *next = s->sequences;
        uint32_t run = index; /* where the literals since the last match begin */
        /* The last match may reach over the block's end, not over the chunk's. */
        const uint32_t block_end = end - index < BLOCK_BYTES + BLOCK_BYTES / 2 ? end : index + BLOCK_BYTES;
        while (index < block_end && next < s->sequences + BLOCK_SEQUENCES) {
            if (end - index < MIN_MATCH) {
                index = end;
                break;
            }
            const uint8_t *here = s->data + index;
            const uint32_t value = load32(here), place = s->position + index;
            uint32_t *bucket = s->places[hash(value)];
            const uint32_t first = place - bucket[0], second = place - bucket[1];
            const uint32_t limit = end - index < MAX_MATCH ? end - index : MAX_MATCH;
            uint32_t length = 0, distance = 0;
            bucket[1] = bucket[0];
            bucket[0] = place;
            if (first <= WINDOW && load32(here - first) == value) {
                length = extend(here, here - first, MIN_MATCH, limit);
                distance = first;
            }
            if (second <= WINDOW && length < limit && load32(here - second) == value
                && (length == 0 || here[length] == *(here - second + length))) {
                uint32_t other = extend(here, here - second, MIN_MATCH, limit);
                if (other > length) {
                    length = other;
                    distance = second;
                }
            }
            if (length == 0) {
                uint32_t step = 1 + ((index - run) >> SKIP_SHIFT);
                index += step < SKIP_MAX ? step : SKIP_MAX;
                continue;
            }
            next->literals = index - run;
            next->length = (uint16_t)length;
            next->distance = (uint16_t)(distance - 1);
            next++;
            for (; run < index; run++)
                s->literal_counts[s->data[run]]++;
            s->literal_counts[257 + s->length_symbols[length]]++;
            s->distance_counts[distance_symbol(s, distance - 1)]++;
            run = index + length;
            /* Every other place inside a match is remembered: a little size for a lot of speed. */
            const uint32_t last = end - run >= MIN_MATCH ? run : end - MIN_MATCH;
            for (index++; index < last; index += 2)
                remember(s, index);
            index = run;
        }
        if (index > end)
            index = end;
        next->literals = index - run;
        next->length = 0;
        for (; run < index; run++)
            s->literal_counts[s->data[run]]++;
        put_block(s, &w, s->data + block, index - block, is_last && index == end);
        if (index == end)
            break;
    }

    if (is_last) {
        w.count = (w.count + 7) & ~7u;
        flush(&w);
        begin_stream(s);
    } else {
        const uint32_t keep = end < WINDOW ? end : WINDOW;
        memmove(s->data, s->data + end - keep, keep);
        s->position += end - keep;
        s->history = keep;
        s->bits = w.bits;
        s->bit_count = w.count;
    }
    return (size_t)(w.next - output);
}
