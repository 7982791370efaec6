"""Rows of numbers: four at a time where the processor has AVX2, else two, as the compiler finds for any x86_64.

Nothing overlaps, which `restrict` says, so that it may.
"""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #ifndef RMAPCORE_WIDE
    #define RMAPCORE_WIDE
    #define EACH static inline __attribute__((always_inline))
    #ifdef __x86_64__
    #define WIDE __attribute__((target("avx2"), noinline, unused)) static
    #define IF_WIDE(call) if (__builtin_cpu_supports("avx2")) return call
    #else
    #define WIDE static inline
    #define IF_WIDE(call) (void) 0
    #endif

    EACH void pay_each(const uint64_t *restrict now, uint64_t *restrict paid, uint64_t *restrict row,
                       uint64_t *restrict share, int n) {
        for (int i = 0; i < n; i++) {
            uint64_t more = now[i] - paid[i];
            row[i] += more;
            share[i] += more;
            paid[i] = now[i];
        }
    }
    EACH void add_each(uint64_t *restrict to, const uint64_t *restrict more, int n) {
        for (int i = 0; i < n; i++)
            to[i] += more[i];
    }
    EACH uint64_t any_each(const uint64_t *numbers, int n) {
        uint64_t any = 0;
        for (int i = 0; i < n; i++)
            any |= numbers[i];
        return any;
    }
    EACH uint64_t moved_each(const uint64_t *now, const uint64_t *before, const uint64_t *last, int n) {
        uint64_t differs = 0;
        for (int i = 0; i < n; i++)
            differs |= (now[i] - before[i]) ^ last[i];
        return differs;
    }
    EACH uint64_t moved_both(const uint64_t *now, const uint64_t *before, const uint64_t *last, int n, int gap, int m) {
        return moved_each(now, before, last, n) | moved_each(now + gap, before + n, last + n, m);
    }

    WIDE void pay_wide(const uint64_t *now, uint64_t *paid, uint64_t *row, uint64_t *share, int n) {
        pay_each(now, paid, row, share, n);
    }
    WIDE void add_wide(uint64_t *to, const uint64_t *more, int n) { add_each(to, more, n); }
    WIDE uint64_t any_wide(const uint64_t *numbers, int n) { return any_each(numbers, n); }
    WIDE uint64_t moved_wide(const uint64_t *now, const uint64_t *before, const uint64_t *last, int n, int gap, int m) {
        return moved_both(now, before, last, n, gap, m);
    }

    static inline void pay_numbers(const uint64_t *now, uint64_t *paid, uint64_t *row, uint64_t *share, int n) {
        IF_WIDE(pay_wide(now, paid, row, share, n));
        pay_each(now, paid, row, share, n);
    }
    static inline void add_numbers(uint64_t *to, const uint64_t *more, int n) {
        IF_WIDE(add_wide(to, more, n));
        add_each(to, more, n);
    }
    static inline uint64_t any_of(const uint64_t *numbers, int n) {
        IF_WIDE(any_wide(numbers, n));
        return any_each(numbers, n);
    }
    static inline uint64_t moved_else(const uint64_t *now, const uint64_t *before, const uint64_t *last, int n, int gap,
                                      int m) {
        IF_WIDE(moved_wide(now, before, last, n, gap, m));
        return moved_both(now, before, last, n, gap, m);
    }
    #endif
    """
    # what has come since it was paid goes to both
    void pay_numbers(const uint64_t* now, uint64_t* paid, uint64_t* row, uint64_t* share, int n) noexcept nogil
    void add_numbers(uint64_t* to, const uint64_t* more, int n) noexcept nogil
    uint64_t any_of(const uint64_t* numbers, int n) noexcept nogil
    # did counters move by something else than the last time? The n from now on and the m that come `gap` after its beginning;
    # the other arrays have the two runs one behind the other
    uint64_t moved_else(const uint64_t* now, const uint64_t* before, const uint64_t* last, int n, int gap, int m) noexcept nogil
