package import Model

extension WirePath {
    package static func sessions(_ id: InstanceID) -> String { "/v1/instances/\(id)/sessions" }
    package static func hold(_ id: InstanceID) -> String { "/v1/instances/\(id)/hold" }
}

package struct OpenSessionRequest: Sendable, Codable {
    package var kind: Session.Kind
    package var command: [String]
    package var reason: String
    /// nil: `Session.Limit.usual`.
    package var span: Span?
    package var isInTraffic: Bool
    /// nil: pipes.
    package var terminal: Session.Terminal?
    /// The tool image of a `debug` session.
    package var image: Digest?

    package init(
        kind: Session.Kind, command: [String], reason: String, span: Span? = nil, isInTraffic: Bool = false,
        terminal: Session.Terminal? = nil, image: Digest? = nil
    ) {
        self.kind = kind
        self.command = command
        self.reason = reason
        self.span = span
        self.isInTraffic = isInTraffic
        self.terminal = terminal
        self.image = image
    }
}

/// The answer to a session that may begin: it does when its socket is connected to.
package struct SessionAnswer: Sendable, Codable {
    package var session: Session
    /// Only whoever asked may connect, once, and soon. `SessionFrame` is what is spoken there.
    package var socket: String
    /// Where the recording is.
    package var recording: String

    package init(session: Session, socket: String, recording: String) {
        self.session = session
        self.socket = socket
        self.recording = recording
    }
}

package struct HoldRequest: Sendable, Codable {
    package var reason: String
    /// nil: `Session.Limit.usualHold`.
    package var span: Span?
    package init(reason: String, span: Span? = nil) {
        self.reason = reason
        self.span = span
    }
}

package struct HoldAnswer: Sendable, Codable {
    package var instance: InstanceID
    /// nil: it is held no longer, and is replaced.
    package var until: Instant?
    package init(instance: InstanceID, until: Instant?) {
        self.instance = instance
        self.until = until
    }
}
