"""Page tables of kernel 2.6.7 (rule C2)."""


class Tables:
    def free_tables(self, mm, start, end):
        """After [start, end) was unmapped: all tables of granules that it touches and nothing else does."""
        bits = self.arch.granule_bits
        spans = {vpn >> bits for vpn in (start, end - 1)} | {leaf << self.arch.leaf_bits >> bits for leaf in mm.leaves}
        for granule in spans:
            low, high = granule << bits, (granule + 1) << bits
            if low < end and start < high and self.nothing_in(mm, low, high, start, end):
                mm.leaves = {leaf for leaf in mm.leaves if leaf << self.arch.leaf_bits >> bits != granule}
                mm.uppers.discard((bits, granule))
