/// How one release takes the place of another. Every default suits a team that would rather wait than apologise.
package struct RolloutSettings: Hashable, Sendable, Codable {
    package enum Strategy: Hashable, Sendable, Codable {
        /// All of the new release beside the old one, then all traffic at once.
        case blueGreen
        /// One batch after another: launch first, remove after.
        case rolling(RollingSettings)
        /// A small share of the traffic first, more of it step by step.
        case canary([CanaryStep])
        /// The old release is stopped before the new one starts: for what cannot run twice.
        case recreate
    }

    package var strategy: Strategy
    /// How long requests and connections in flight on a leaving instance may take before they are cut.
    package var drain: Span
    /// How long the new release is watched with all traffic before the rollout has succeeded.
    package var watch: Span
    /// How long each stage may take to have its instances proven healthy.
    package var deadline: Span
    /// Old releases kept running for a rollback in milliseconds, 0…3.
    package var keepStandby: Int
    /// Asked when the new release is proven and has no traffic yet, one after the other.
    package var beforeSwitch: [Gate]
    /// Asked when the new release has had all traffic for `watch`, while the old one still stands by.
    package var afterSwitch: [Gate]
    package var analysis: AnalysisSettings
    /// A rollback to one of this many last good releases goes back at once; to an older one by the strategy. 0…20.
    package var rollbackWindow: Int

    package init(
        strategy: Strategy = .blueGreen, drain: Span = .seconds(10), watch: Span = .seconds(30),
        deadline: Span = .seconds(60), keepStandby: Int = 1, beforeSwitch: [Gate] = [],
        afterSwitch: [Gate] = [], analysis: AnalysisSettings = AnalysisSettings(), rollbackWindow: Int = 10
    ) {
        self.strategy = strategy
        self.drain = drain
        self.watch = watch
        self.deadline = deadline
        self.keepStandby = keepStandby
        self.beforeSwitch = beforeSwitch
        self.afterSwitch = afterSwitch
        self.analysis = analysis
        self.rollbackWindow = rollbackWindow
    }
}

extension RolloutSettings {
    /// Every gate that is written, those of a canary's steps last.
    package var gates: [Gate] {
        guard case .canary(let steps) = strategy else { return beforeSwitch + afterSwitch }
        return beforeSwitch + afterSwitch
            + steps.compactMap { if case .gate(let gate) = $0 { gate } else { nil } }
    }
}

extension RolloutSettings.Strategy {
    package var name: String {
        switch self {
        case .blueGreen: "blue-green"
        case .rolling: "rolling"
        case .canary: "canary"
        case .recreate: "recreate"
        }
    }
}

package struct RollingSettings: Hashable, Sendable, Codable {
    /// Instances replaced at a time; at least one.
    package var batch: Amount
    /// Instances that may run beyond the service's size; 0: each batch is removed before its successors are launched.
    package var surge: Amount
    /// Instances that serve at all times.
    package var minHealthy: Amount
    /// How long a batch serves without trouble before the next one begins.
    package var minReady: Span

    package init(
        batch: Amount = .percent(25), surge: Amount = .percent(25), minHealthy: Amount = .percent(100),
        minReady: Span = .seconds(10)
    ) {
        self.batch = batch
        self.surge = surge
        self.minHealthy = minHealthy
        self.minReady = minReady
    }
}

/// Instances, as a number or as a part of a service's size.
package enum Amount: Hashable, Sendable, Codable, CustomStringConvertible {
    case count(Int)
    /// 0…100.
    case percent(Int)

    /// How many that is of `size`, parts of an instance counting as one.
    package func of(_ size: Int) -> Int {
        switch self {
        case .count(let count): count
        case .percent(let percent): (size * percent + 99) / 100
        }
    }

    package var description: String {
        switch self {
        case .count(let count): "\(count)"
        case .percent(let percent): "\(percent)%"
        }
    }
}

package enum CanaryStep: Hashable, Sendable, Codable {
    /// Per cent of new requests, 0…100. `instances`: how many carry them; nil: as many as fit the share.
    case weight(Int, instances: Amount?)
    /// Compares the new release with the old one for at least this long.
    case analyze(Span)
    /// Waits; nil: until somebody resumes or promotes.
    case pause(Span?)
    /// Requests with this header go to the new release, whatever the weight.
    case match(HeaderMatch)
    case gate(Gate)
}

package struct HeaderMatch: Hashable, Sendable, Codable {
    /// A header's name (RFC 9110 token), in any case.
    package var header: String
    /// nil: any value.
    package var value: String?

    package init(header: String, value: String? = nil) {
        self.header = header
        self.value = value
    }
}

/// Keeps the number of instances where the load is, within bounds.
package struct Autoscale: Hashable, Sendable, Codable {
    package enum Target: Hashable, Sendable, Codable {
        /// Requests a second of each instance.
        case requestsPerSecond(Int)
        /// Per cent of the instance's CPU limit, 1…100.
        case cpu(Int)
        /// Requests that each instance carries at a time.
        case concurrency(Int)
    }

    package var min: Int
    package var max: Int
    package var target: Target

    package init(min: Int, max: Int, target: Target) {
        self.min = min
        self.max = max
        self.target = target
    }
}
