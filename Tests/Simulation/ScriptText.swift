import Model

/// Scripts as text, one entry a line, to be read by people and given to `simulate --script`.
extension Script {
    package var text: String {
        let head = "seed \(seed) lateness \(lateness) expect \(expectation.rawValue)"
        let width = entries.map { "\($0.at)".count }.max() ?? 0
        let lines = entries.map { entry in
            let time = "\(entry.at)"
            return String(repeating: " ", count: width - time.count) + time + " " + entry.act.text
        }
        return ([head] + lines).joined(separator: "\n") + "\n"
    }

    /// Throws `invalidArgument` for a line that it cannot read. Skips empty lines and what follows a `#`.
    package init(text: String) throws {
        self.init(seed: 0)
        var hasHead = false
        for line in text.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
            guard !words.isEmpty else { continue }
            if hasHead {
                entries.append(try Entry(words))
            } else {
                try readHead(words)
                hasHead = true
            }
        }
    }

    private mutating func readHead(_ words: [String]) throws {
        guard words.count == 6, words[0] == "seed", let seed = UInt64(words[1]), words[2] == "lateness",
            let lateness = Int(words[3]), words[4] == "expect",
            let expectation = Expectation(rawValue: words[5])
        else { throw Script.unreadable(words) }
        (self.seed, self.lateness, self.expectation) = (seed, lateness, expectation)
    }

    fileprivate static func unreadable(_ words: [String]) -> Failure {
        Failure(
            .invalidArgument, "\"\(words.joined(separator: " "))\" is no line of a script",
            suggestion: "give a script as `simulate --seed N` prints it")
    }
}

extension Script.Entry {
    fileprivate init(_ words: [String]) throws {
        guard words.count >= 2, let at = Int(words[0]),
            let act = Script.Act(words[1], words.dropFirst(2).map { $0 })
        else { throw Script.unreadable(words) }
        self.init(at, act)
    }
}

extension Script.Act {
    var text: String {
        switch self {
        case .ask(let request): request.text
        case .fault(let fault): "\(fault.kind.rawValue) \(fault.count) \(fault.span)"
        case .traffic(let count): "traffic \(count)"
        case .spoil(let release, let temper): "spoil \(release) \(temper.rawValue)"
        case .settle: "settle"
        }
    }

    fileprivate init?(_ word: String, _ rest: [String]) {
        let numbers = rest.compactMap { Int($0) }
        if let kind = Fault.Kind(rawValue: word) {
            guard numbers.count == 2 else { return nil }
            self = .fault(Fault(kind, numbers[0], span: numbers[1]))
        } else if word == "traffic" {
            guard let count = numbers.first else { return nil }
            self = .traffic(count)
        } else if word == "spoil" {
            guard let release = numbers.first,
                let temper = rest.last.flatMap({ Deployment.Temper(rawValue: $0) })
            else { return nil }
            self = .spoil(release, temper)
        } else if word == "settle" {
            self = .settle
        } else {
            guard let request = Request(word, rest) else { return nil }
            self = .ask(request)
        }
    }
}

extension Request {
    private static let plain: [(word: String, request: Request)] = [
        ("pause", .pause), ("resume", .resume), ("promote", .promote), ("abort", .abort),
        ("approve", .approve),
        ("retire", .retire), ("roll-back", .rollBack(nil)),
    ]

    var text: String {
        switch self {
        case .deploy(let deployment): "deploy " + deployment.text
        case .scale(let count): "scale \(count)"
        case .rollBack(let release?): "roll-back \(release)"
        default: Request.plain.first { $0.request == self }?.word ?? ""
        }
    }

    fileprivate init?(_ word: String, _ rest: [String]) {
        let number = rest.first.flatMap { Int($0) }
        switch word {
        case "deploy":
            guard let deployment = Deployment(rest) else { return nil }
            self = .deploy(deployment)
        case "scale":
            guard let number else { return nil }
            self = .scale(number)
        case "roll-back" where number != nil: self = .rollBack(number)
        default:
            guard let found = Request.plain.first(where: { $0.word == word }) else { return nil }
            self = found.request
        }
    }
}

extension Deployment {
    var text: String {
        "spec=\(spec) shape=\(shape.rawValue) replicas=\(replicas) temper=\(temper.rawValue)"
            + " answers=\(answers.rawValue)" + (isQueued ? " queued" : "") + (isPlain ? " plain" : "")
    }

    fileprivate init?(_ words: [String]) {
        let pairs = words.map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        let values = Dictionary(pairs.map { ($0[0], $0.last ?? "") }) { $1 }
        guard let spec = values["spec"].flatMap({ UInt64($0) }),
            let shape = values["shape"].flatMap({ Shape(rawValue: $0) }),
            let replicas = values["replicas"].flatMap({ Int($0) }),
            let temper = values["temper"].flatMap({ Temper(rawValue: $0) }),
            let answers = values["answers"].flatMap({ Answers(rawValue: $0) })
        else { return nil }
        self.init(
            spec: spec, shape: shape, replicas: replicas, temper: temper, answers: answers,
            isQueued: values["queued"] != nil, isPlain: values["plain"] != nil)
    }
}
