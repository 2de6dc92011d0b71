/// A person's visit to an instance: asked for with a reason, recorded, and over at a time that is known from the start.
package struct Session: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        /// A command in the instance itself.
        case exec
        /// A command of a tool image beside the instance's processes.
        case debug
    }

    /// The screen at the other end.
    package struct Terminal: Hashable, Sendable, Codable {
        package var columns: Int
        package var rows: Int
        /// `$TERM`.
        package var type: String

        /// Keeps the size within what terminals have.
        package init(columns: Int, rows: Int, type: String) {
            self.columns = min(max(1, columns), Limit.terminalSide)
            self.rows = min(max(1, rows), Limit.terminalSide)
            let printable = type.unicodeScalars.filter { !$0.properties.generalCategory.isControl }
            self.type = String(String(String.UnicodeScalarView(printable)).prefix(Limit.terminalType))
        }

        /// What comes from outside is kept within the same bounds.
        package init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                columns: try values.decode(Int.self, forKey: .columns),
                rows: try values.decode(Int.self, forKey: .rows),
                type: try values.decode(String.self, forKey: .type))
        }

        private enum CodingKeys: String, CodingKey { case columns, rows, type }
    }

    package enum Limit {
        /// How long a session may last, and how long it does where nobody says.
        package static let longest = Span.seconds(8 * 3600)
        package static let usual = Span.seconds(15 * 60)
        /// How long an instance may be held, and how long it is where nobody says.
        package static let longestHold = Span.seconds(7 * 86_400)
        package static let usualHold = Span.seconds(86_400)
        /// What an instance is kept beyond its session's time, so that its end can be told.
        package static let farewell = Span.seconds(10)
        package static let words = 256
        package static let commandBytes = 32 << 10
        package static let reasonBytes = 1024
        package static let terminalSide = 1000
        package static let terminalType = 64
        /// Sessions on one host at a time.
        package static let atOnce = 16
    }

    /// Counts the sessions of a root folder; never used twice.
    package var number: Int
    package var kind: Kind
    package var instance: InstanceID
    package var key: ServiceKey
    /// `uid:0`.
    package var by: String
    package var reason: String
    package var command: [String]
    /// Of a `debug` session: whose programs it has.
    package var image: Digest?
    /// nil: pipes instead.
    package var terminal: Terminal?
    package var isInTraffic: Bool
    package var begunAt: Instant
    package var until: Instant
    /// Whether the instance is replaced when it is over: false where it is held for another reason.
    package var endsInstance: Bool
    /// nil: it goes on, or nobody was there to see its end.
    package var end: SessionEnd?
    /// Whether the ledger has its end; nil: written down before anybody asked.
    package var isTold: Bool?

    package init(
        number: Int, kind: Kind, instance: InstanceID, key: ServiceKey, by: String, reason: String,
        command: [String], image: Digest? = nil, terminal: Terminal? = nil, isInTraffic: Bool = false,
        begunAt: Instant, until: Instant, endsInstance: Bool = true, end: SessionEnd? = nil
    ) {
        self.number = number
        self.kind = kind
        self.instance = instance
        self.key = key
        self.by = by
        self.reason = reason
        self.command = command
        self.image = image
        self.terminal = terminal
        self.isInTraffic = isInTraffic
        self.begunAt = begunAt
        self.until = until
        self.endsInstance = endsInstance
        self.end = end
    }
}

extension Unicode.GeneralCategory {
    /// Whether a screen may take it for a command.
    fileprivate var isControl: Bool {
        switch self {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

/// How a session ended.
package struct SessionEnd: Hashable, Sendable, Codable {
    /// Stable names: the ledger and the recordings keep them.
    package enum Outcome: String, Hashable, Sendable, Codable {
        /// The command ended by itself, or with the instance.
        case exited
        /// The person at the other end was gone.
        case vanished
        case timeUp = "time-up"
        /// Nothing happens that is not recorded.
        case recordingFull = "recording-full"
        /// What came from the other end was not of the protocol.
        case malformed
        /// Nobody connected in time.
        case nobodyCame = "nobody-came"
        case notStarted = "not-started"
        /// The daemon ended.
        case stopped
    }

    package var outcome: Outcome
    /// In a sentence, for people.
    package var message: String
    /// Exit code, or 128 + the signal; nil where the command did not run to its end.
    package var status: Int?
    package var at: Instant
    /// SHA-256 of the recording; nil where there is none.
    package var recording: Digest?
    package var recordingBytes: Int

    package init(
        _ outcome: Outcome, _ message: String, status: Int? = nil, at: Instant, recording: Digest? = nil,
        recordingBytes: Int = 0
    ) {
        self.outcome = outcome
        self.message = message
        self.status = status
        self.at = at
        self.recording = recording
        self.recordingBytes = recordingBytes
    }
}
