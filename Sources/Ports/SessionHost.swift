package import Model

/// Where people's sessions in instances run and are recorded.
package protocol SessionHost: Sendable {
    /// Gives a session its number, and has it on disk that it was asked for. Nothing of it runs.
    func reserve(_ session: Session) async throws -> Session

    /// Lets the person connect, once and soon, and runs the command then. `ended` is called once with the session as it
    /// ended, before the person is told; not at all where this throws.
    func open(
        _ session: Session, for user: UInt32, ended: @escaping @Sendable (Session) async -> Void
    ) async throws -> SessionPlace

    /// Writes down the end of a session that was reserved and never opened.
    func abandon(_ session: Session, _ end: SessionEnd) async -> Session

    /// Remembers that the ledger has the end of a session.
    func told(_ session: Session) async

    /// Ends what a daemon that died left of its sessions, and gives those whose end was not told, with their ends.
    func recover() async throws -> [Session]

    /// Ends every session, and returns when all of them have.
    func stop() async
}

/// Where a session can be reached and read.
package struct SessionPlace: Hashable, Sendable {
    package var socket: String
    package var recording: String

    package init(socket: String, recording: String) {
        self.socket = socket
        self.recording = recording
    }
}
