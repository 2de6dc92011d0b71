import Model

/// The releases among which new requests are to be split.
struct Split {
    /// Each release with its share in per cent; nil: every instance takes the same.
    var shares: [(release: ReleaseNumber, share: Int?)]
    /// The share of fresh instances of the old release, with which the new one is compared.
    var baseline: Int?

    func includes(_ release: ReleaseNumber) -> Bool { shares.contains { $0.release == release } }
}

extension Draft {
    /// Gives each instance the weight that the rollout asks for now. nil: nobody is to be let in.
    @discardableResult
    mutating func split() -> Split? {
        for place in views.indices {
            views[place].weight = 0
            views[place].isHeld = false
        }
        guard !state.isRetiring, var split = intendedSplit() else { return nil }
        // A release of which nothing is fit is left out: its share would be lost. Where every instance takes the same,
        // the router itself passes over those that do not answer.
        if split.shares.count > 1 { split.shares.removeAll { !canTake($0.release, $0.share) } }
        if split.shares.isEmpty, let serving = servingRelease { split.shares = [(serving, 100)] }
        holdOver(split)
        assignWeights(split)
        return split
    }

    private func canTake(_ release: ReleaseNumber, _ share: Int?) -> Bool {
        share != nil ? hasFit(release) : views[range(of: release)].contains { $0.isAble }
    }

    private func intendedSplit() -> Split? {
        guard let rollout = state.rollout, rollout.split != .none else {
            return state.current.map { Split(shares: [($0, 100)]) }
        }
        guard let from = state.current, from != rollout.to else { return Split(shares: [(rollout.to, 100)]) }
        switch rollout.split {
        case .none, .share(100): return Split(shares: [(rollout.to, 100)])
        case .even: return Split(shares: [(from, nil), (rollout.to, nil)])
        case .share(let share):
            var split = Split(shares: [(from, 100 - share), (rollout.to, share)])
            let compared = rollout.baseline.count { view($0)?.isFit == true }
            if compared > 0 {
                // As much as the new release, but never so much that the other old instances would idle.
                let baseline = min(share, (100 - share) * compared / max(1, fitCount(from)))
                split.baseline = max(1, baseline)
                split.shares[0].share = 100 - share - max(1, baseline)
            }
            return split
        }
    }

    /// Instances of other releases that take traffic now go on until those who should take it are enough.
    /// With nobody fit to take over, traffic stays where it is: a bad answer can recover, no answer cannot.
    private mutating func holdOver(_ split: Split) {
        // Two releases that may not run at once cannot wait for each other.
        guard let serving = servingRelease, !isExclusive else { return }
        let able = split.shares.reduce(0) { $0 + fitCount($1.release) }
        var missing = leastServing(size(of: serving)) - able
        // One that failed is not to be kept for the sake of numbers where others can answer at all.
        if able > 0, missing <= 0 { return }
        for place in views.indices where views[place].isTaking {
            guard !split.includes(views[place].release) else { continue }
            if views[place].isDraining {
                // It was to make room for a release that is not wanted any more.
                guard able == 0, views[place].condition == .fit else { continue }
                stopDraining(place)
            } else if able > 0 {
                let release = views[place].release
                guard missing > 0, views[place].isAble, !isShed(release), !isStranger(release) else {
                    continue
                }
                missing -= 1
            }
            views[place].isHeld = true
            views[place].weight = Limits.fullWeight
        }
    }

    /// Whether a release has no place in a rollout that has begun to split the traffic between two others.
    private func isStranger(_ release: ReleaseNumber) -> Bool {
        guard let rollout = state.rollout, rollout.split != .none else { return false }
        return release != rollout.to && release != state.current
    }

    /// Whether a release failed, and the old one, which was kept whole, takes its traffic back. One that was only
    /// called back did nothing wrong.
    private func isShed(_ release: ReleaseNumber) -> Bool {
        guard let rollout = state.rollout, case .returning(_, let reason) = rollout.phase,
            rollout.to == release,
            !Rollout.isByHand(reason)
        else { return false }
        return !rollout.stages.contains { $0.stable != .whole }
    }

    /// How many are to serve before those of a release that leaves are let go. Where none may run in excess, fewer:
    /// those that return need room.
    private func leastServing(_ size: Int) -> Int {
        guard let rollout = state.rollout,
            case .rolling(let rolling) = situation.releases[rollout.to]?.content.rollout.strategy,
            rolling.surge.of(size) == 0
        else { return size }
        return rolling.minHealthy.of(size)
    }

    private mutating func assignWeights(_ split: Split) {
        guard split.shares.count > 1, split.shares.allSatisfy({ $0.share != nil }) else {
            for (release, _) in split.shares {
                for place in range(of: release) where views[place].isAble {
                    views[place].weight = Limits.fullWeight
                }
            }
            return
        }
        let compared = split.baseline == nil ? [] : state.rollout?.baseline ?? []
        var groups = split.shares.map { entry in
            (
                share: entry.share ?? 0,
                places: range(of: entry.release).filter {
                    views[$0].isAble && !compared.contains(views[$0].id)
                }
            )
        }
        if let share = split.baseline, let from = state.current {
            groups.append(
                (
                    share,
                    range(of: from).filter {
                        views[$0].isAble && compared.contains(views[$0].id)
                    }
                ))
        }
        groups.removeAll { $0.share == 0 || $0.places.isEmpty }
        let weights = Weights.of(groups.map { ($0.share, $0.places.count) })
        for (group, given) in zip(groups, weights) {
            for place in group.places.prefix(given.count) { views[place].weight = given.weight }
        }
    }

    /// Whether the router was seen to do what the split asks for, with nobody held over.
    mutating func isCarriedOut() -> Bool {
        guard !situation.isRouteUnsettled, let route, situation.seen.router.isRunning, let split = split(),
            !areStrangersServing, route.listener == listener(for: servingRelease),
            route.match == desiredMatch(), split.shares.allSatisfy({ canTake($0.release, $0.share) })
        else { return false }
        return views.allSatisfy { view in
            if view.isHeld { return false }
            if view.isTaking { return view.routed?.weight == view.weight }
            return view.weight == 0 || !view.isFit
        }
    }
}

/// Weights of 1…256 for groups of instances, so that each group gets its share whatever its number.
enum Weights {
    private static let scales = (128...256).reversed()
    /// How far a share may be off, as a part of itself, for no better scale to be looked for.
    private static let goodEnough = 0.01
    /// The smallest weight that keeps a share exact to about a tenth.
    private static let least = 4.0

    /// For each group, how many of its instances take what weight. Every group has a share and instances.
    static func of(_ groups: [(share: Int, count: Int)]) -> [(count: Int, weight: Int)] {
        let shares = groups.map { (share: Double($0.share), count: $0.count) }
        var best: (weights: [(count: Int, weight: Int)], error: Double)?
        for scale in scales where (best?.error ?? 1) > goodEnough {
            let found = groupWeights(shares, scale: Double(scale))
            if found.error < best?.error ?? .infinity { best = found }
        }
        return best?.weights ?? []
    }

    /// How many instances of each group take what weight, where the largest weight is about `scale`; and how far the
    /// worst share is off, as a part of itself.
    private static func groupWeights(
        _ groups: [(share: Double, count: Int)], scale: Double
    ) -> (weights: [(count: Int, weight: Int)], error: Double) {
        let largest = groups.map { $0.share / Double($0.count) }.max() ?? 1
        let weights = groups.map { share, all in
            let total = scale / largest * share
            // Of many instances for a small share, only as many take it as can be given a proper weight.
            let count = min(all, max(1, Int(total / least)))
            return (count: count, weight: Int(min(256, max(1, (total / Double(count)).rounded()))))
        }
        let sum = weights.reduce(0) { $0 + $1.count * $1.weight }
        let whole = groups.reduce(0) { $0 + $1.share }
        let errors = zip(groups, weights).map { group, given in
            abs(Double(given.count * given.weight) / Double(sum) - group.share / whole) * whole / group.share
        }
        return (weights, errors.max() ?? 0)
    }
}
