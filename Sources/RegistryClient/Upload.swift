internal import AsyncHTTPClient
internal import ImageFormat
internal import Model
internal import NIOHTTP1

/// A blob on its way into a repository.
struct Upload {
    let repository: Repository
    let blob: OCIDescriptor
    let bytes: BlobBytes
    let meter: Meter

    /// How often an upload is begun in all.
    static let longestSessions = 5
    /// Chunks that may fail without the registry having more afterwards.
    static let longestStandstill = 5

    private struct Session {
        var address: WebAddress
        var received = 0
        var smallestChunk: Int?
    }

    /// An upload that did not come to its end and has to be begun anew.
    private struct Forgotten: Error {
        /// What the registry answered; nil for nothing.
        var status: Int?
    }

    private var connection: Connection { repository.connection }

    func run() async throws {
        var last: Int?
        for _ in 1...Upload.longestSessions {
            do {
                return try await send(try await open())
            } catch let forgotten as Forgotten {
                last = forgotten.status
            }
        }
        throw Failure(
            .registryRefused,
            "the registry did not take a blob in \(Upload.longestSessions) tries; the last answer was "
                + (last.map { "\($0)" } ?? "none"), at: repository.place,
            suggestion: "try again later; if it goes on, ask whoever runs the registry what its log says")
    }

    private func open() async throws -> Session {
        let answer = try await connection.send(
            Call(
                method: .POST, address: repository.address("blobs/uploads/"),
                scopes: repository.scopes(isPush: true)))
        guard answer.status == 202 else {
            throw await Refusal.failure(answer, "pushing to \(repository.place)")
        }
        await answer.drain()
        return Session(
            address: try location(answer),
            smallestChunk: answer.header("OCI-Chunk-Min-Length").flatMap { Int($0) })
    }

    private func location(_ answer: Answer) throws -> WebAddress {
        guard let location = answer.header("Location") else {
            throw Failure(
                .registryRefused, "the registry does not say where to upload to", at: repository.place,
                suggestion: "see that a proxy before it passes the Location header on")
        }
        return try answer.address.resolving(location)
    }

    private func send(_ opened: Session) async throws {
        var session = opened
        var standstill = 0
        while true {
            let step = UploadPlan.next(
                size: blob.size, received: session.received, smallest: session.smallestChunk,
                chunk: connection.transport.settings.chunk)
            switch step {
            case .finish(let range): return try await finish(session, range)
            case .chunk(let range):
                var call = Call(
                    method: .PATCH, address: session.address, scopes: repository.scopes(isPush: true),
                    payload: .blob(bytes, range, meter))
                call.headers.add(name: "Content-Type", value: "application/octet-stream")
                call.headers.add(name: "Content-Range", value: UploadPlan.contentRange(range))
                let before = session.received
                session = try await patch(call, range, session)
                standstill = session.received > before ? 0 : standstill + 1
                guard standstill < Upload.longestStandstill else {
                    throw Failure(
                        .registryRefused,
                        "the registry took nothing of a chunk, \(standstill) times in a row",
                        at: repository.place,
                        suggestion: "try again later; see that the registry's disk is not full")
                }
            }
        }
    }

    /// Sends a chunk once. After trouble the registry is asked how much it has: sending it again blindly would
    /// put it twice.
    private func patch(_ call: Call, _ range: Range<Int>, _ session: Session) async throws -> Session {
        var next = session
        let answer = try await connection.sendOnce(call)
        if let answer, answer.status == 202 || answer.status == 201 || answer.status == 204 {
            await answer.drain()
            next.address = try location(answer)
            next.received =
                UploadPlan.received(answer.header("Range"), size: blob.size) ?? range.upperBound
            // "0-0" after a chunk would mean that nothing came; a registry that says so keeps no count.
            if next.received == 0 { next.received = range.upperBound }
            meter.advance(next.received - range.upperBound)
            return next
        }
        if let answer, !(RetryPolicy.passing.contains(answer.status) || answer.status == 416) {
            if answer.status == 404 {
                await answer.drain()
                meter.advance(-range.upperBound)
                throw Forgotten(status: 404)
            }
            throw await Refusal.failure(answer, "pushing to \(repository.place)")
        }
        await answer?.drain()
        let status = try await connection.send(
            Call(method: .GET, address: session.address, scopes: repository.scopes(isPush: true)))
        await status.drain()
        guard status.status == 204 || status.status == 202 else {
            meter.advance(-range.upperBound)
            throw Forgotten(status: answer?.status)
        }
        if status.header("Location") != nil { next.address = try location(status) }
        next.received = UploadPlan.received(status.header("Range"), size: blob.size) ?? 0
        meter.advance(next.received - range.upperBound)
        return next
    }

    /// Ends the upload with these bytes and the digest. The registry checks it.
    private func finish(_ session: Session, _ range: Range<Int>) async throws {
        var call = Call(
            method: .PUT, address: session.address.adding("digest", blob.digest.description),
            scopes: repository.scopes(isPush: true))
        if !range.isEmpty || blob.size == 0 {
            call.payload = .blob(bytes, range, meter)
            call.headers.add(name: "Content-Type", value: "application/octet-stream")
        }
        let answer = try await connection.sendOnce(call)
        if let answer, answer.status == 201 || answer.status == 204 || answer.status == 200 {
            return await answer.drain()
        }
        if let answer, !RetryPolicy.passing.contains(answer.status), answer.status != 404 {
            throw await Refusal.failure(answer, "pushing to \(repository.place)")
        }
        await answer?.drain()
        meter.advance(-range.count)
        // The blob may have arrived although the answer did not.
        if try await repository.holds(blob.digest) { return meter.advance(range.count) }
        meter.advance(-range.lowerBound)
        throw Forgotten(status: answer?.status)
    }
}

extension Repository {
    /// Takes a blob over from another repository of the same registry, without sending it.
    ///
    /// - Returns: whether the registry did so
    func mount(_ digest: Digest, from other: RepositoryName) async throws -> Bool {
        var call = Call(
            method: .POST,
            address: address("blobs/uploads/").adding("mount", digest.description).adding("from", other.text),
            scopes: scopes(isPush: true))
        call.scopes.insert(Scope(repository: other.text, isPush: false))
        let answer: Answer
        do {
            answer = try await connection.send(call)
        } catch let failure as Failure where failure.code == .notSignedIn {
            // No rights there: then it is sent.
            return false
        }
        await answer.drain()
        if answer.status == 201 { return true }
        if answer.status == 202, let location = answer.header("Location"),
            let address = try? answer.address.resolving(location)
        {
            // It opened an upload in its place, which nobody will use.
            let gone = try await connection.sendOnce(
                Call(method: .DELETE, address: address, scopes: scopes(isPush: true)))
            await gone?.drain()
        }
        return false
    }
}
