/// One stage of a rollout: what should run and where traffic should go, and what to wait for then.
package struct RolloutStage: Hashable, Sendable, Codable {
    package enum Split: Hashable, Sendable, Codable {
        /// The new release takes no traffic.
        case none
        /// Per cent of new requests for the new release, whatever the numbers of instances; 100: all.
        case share(Int)
        /// Every instance of both releases takes the same.
        case even
    }

    package enum Wait: Hashable, Sendable, Codable {
        case none
        /// Nothing speaks against the new release for this long.
        case settle(Span)
        /// nil: until somebody resumes or promotes.
        case pause(Span?)
        case gate(Gate)
    }

    /// Instances of the new release.
    package var candidate: Part
    /// Instances of the old release.
    package var stable: Part
    /// The old release gets smaller before the new one grows: it never has more than its place.
    package var removesFirst: Bool
    package var split: Split
    package var match: HeaderMatch?
    /// Fresh instances of the old release run beside the new ones, to be compared with them.
    package var hasBaseline: Bool
    package var wait: Wait

    package init(
        candidate: Part, stable: Part = .whole, removesFirst: Bool = false, split: Split,
        match: HeaderMatch? = nil,
        hasBaseline: Bool = false, wait: Wait = .none
    ) {
        self.candidate = candidate
        self.stable = stable
        self.removesFirst = removesFirst
        self.split = split
        self.match = match
        self.hasBaseline = hasBaseline
        self.wait = wait
    }
}

/// A part of a service's size, which may change while the rollout is under way.
package struct Part: Hashable, Sendable, Codable {
    package var numerator: Int
    package var denominator: Int

    package static let whole = Part(1, of: 1)
    package static let nothing = Part(0, of: 1)

    package init(_ numerator: Int, of denominator: Int) {
        precondition(denominator > 0 && numerator >= 0, "a part is of something")
        // All and nothing are equal, however they are written.
        let isPlain = numerator == 0 || numerator == denominator
        self.numerator = isPlain ? min(1, numerator) : numerator
        self.denominator = isPlain ? 1 : denominator
    }

    /// Parts of an instance count as one.
    package func of(_ size: Int) -> Int { (size * numerator + denominator - 1) / denominator }
}
