internal import AsyncHTTPClient
internal import Foundation
internal import Model
internal import NIOCore
internal import NIOHTTP1

/// A request to a registry.
struct Call: Sendable {
    var method: HTTPMethod
    var address: WebAddress
    var scopes: Set<Scope>
    var headers = HTTPHeaders()
    var payload = Payload.none
    /// Whether an answer may point elsewhere for the content.
    var followsRedirects = false
}

/// An answer whose body has not been read yet.
struct Answer: Sendable {
    var response: HTTPClientResponse
    /// Where it came from after redirects.
    var address: WebAddress

    var status: Int { Int(response.status.code) }
    func header(_ name: String) -> String? { response.headers.first(name: name) }

    /// The whole body; throws where it is longer than `limit`.
    func body(limit: Int) async throws -> [UInt8] {
        do {
            return Array(try await response.body.collect(upTo: limit).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Failure(.registryRefused, "an answer is longer than \(limit) bytes", at: "\(address)")
        }
    }

    /// Reads what is left, so that the connection can be used again; a long rest is not worth it.
    func drain() async {
        _ = try? await response.body.collect(upTo: Transport.Limit.refusal)
    }
}

/// One registry: requests with retries, redirects and proofs of who asks.
struct Connection: Sendable {
    let transport: Transport
    let keyring: Keyring
    let origin: WebAddress.Origin

    static let longestRedirects = 5

    private var settings: RegistrySettings { transport.settings }
    var world: RegistryWorld { settings.world }

    /// The answer, whatever its status, after as many tries as the policy allows. Throws `registryUnreachable`
    /// where none came.
    func send(_ call: Call) async throws -> Answer {
        try await retrying {
            try await attempt(call)
        } trouble: { answer in
            guard RetryPolicy.passing.contains(answer.status) else { return nil }
            return .status(
                answer.status,
                retryAfter: answer.header("Retry-After").flatMap {
                    RetryPolicy.retryAfter($0, now: world.now())
                })
        }
    }

    /// One try of what must not be repeated blindly; nil where no answer came. After trouble it waits once, as
    /// the policy says for a first try.
    func sendOnce(_ call: Call) async throws -> Answer? {
        do {
            let answer = try await attempt(call)
            guard RetryPolicy.passing.contains(answer.status) else { return answer }
            let asked = answer.header("Retry-After").flatMap { RetryPolicy.retryAfter($0, now: world.now()) }
            if case .retry(let pause) = decide(.status(answer.status, retryAfter: asked), 1) {
                try await world.wait(pause)
            }
            return answer
        } catch let error as NoAnswer {
            try await pauseOrGiveUp(error, 1)
            return nil
        }
    }

    /// Runs `body` until it gives something without trouble, or the policy gives up.
    private func retrying(
        _ body: () async throws -> Answer, trouble: (Answer) -> RetryPolicy.Trouble?
    ) async throws -> Answer {
        for attempt in 1...settings.retry.tries {
            try Task.checkCancellation()
            do {
                let answer = try await body()
                guard let trouble = trouble(answer) else { return answer }
                guard case .retry(let pause) = decide(trouble, attempt) else { return answer }
                await answer.drain()
                try await world.wait(pause)
            } catch let error as NoAnswer {
                try await pauseOrGiveUp(error, attempt)
            }
        }
        throw Failure(.internalError, "the tries ended without an answer")
    }

    private func decide(_ trouble: RetryPolicy.Trouble, _ attempt: Int) -> RetryPolicy.Decision {
        settings.retry.decide(trouble, attempt: attempt, jitter: world.jitter())
    }

    /// Waits before try `attempt + 1`; throws `registryUnreachable` where there is none.
    func pauseOrGiveUp(_ error: NoAnswer, _ attempt: Int) async throws {
        try Task.checkCancellation()
        guard case .retry(let pause) = decide(error.isConnected ? .broken : .unreachable, attempt) else {
            throw Failure(
                .registryUnreachable, "the registry cannot be reached: \(error.reason)", at: "\(origin)",
                suggestion: "check the name, the port and the network")
        }
        try await world.wait(pause)
    }

    /// One try: signs in where it is asked to, and follows redirects. Only this origin sees credentials.
    private func attempt(_ call: Call) async throws -> Answer {
        var address = call.address
        var hasSignedIn = false
        var proof = await keyring.header(origin, call.scopes, now: world.now())
        for _ in 0...Connection.longestRedirects + 1 {
            let isHome = address.origin == origin
            var headers = call.headers
            if isHome, let proof { headers.replaceOrAdd(name: "Authorization", value: proof) }
            let answer = Answer(
                response: try await transport.execute(
                    call.method, address, headers: headers, payload: call.payload), address: address)
            if answer.status == 401, isHome, !hasSignedIn {
                let challenges = answer.response.headers["WWW-Authenticate"].flatMap(Challenge.parse)
                await answer.drain()
                hasSignedIn = true
                proof = try await signIn(challenges, call.scopes)
                continue
            }
            if call.followsRedirects, [301, 302, 303, 307, 308].contains(answer.status),
                let location = answer.header("Location")
            {
                await answer.drain()
                address = try address.resolving(location)
                continue
            }
            return answer
        }
        throw Failure(
            .registryRefused, "a registry redirected more than \(Connection.longestRedirects) times",
            at: "\(call.address)", suggestion: "see where it points to: the addresses may run in a circle")
    }

    /// Gets a proof by the strongest way that is offered.
    private func signIn(_ challenges: [Challenge], _ scopes: Set<Scope>) async throws -> String {
        let repository = scopes.sorted().first?.repository ?? ""
        let credential = try await settings.credential(for: origin.host, repository: repository)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            let token = try await token(bearer, scopes, credential)
            await keyring.remember(token: token, origin, scopes, now: world.now())
            return "Bearer \(token.text)"
        }
        guard challenges.contains(where: { $0.scheme == "basic" }) else {
            throw Failure(
                .notSignedIn, "the registry asks for a proof in no way that is known", at: "\(origin)",
                suggestion: "let it take Basic or Bearer (token) credentials")
        }
        guard case .password(let user, let password) = credential else {
            throw notSignedIn(credential != nil)
        }
        let header = Connection.basic(user, password)
        await keyring.remember(header, origin, scopes)
        return header
    }

    static func basic(_ user: String, _ password: String) -> String {
        "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    private func notSignedIn(_ wasTried: Bool) -> Failure {
        Failure(
            .notSignedIn,
            wasTried
                ? "the registry does not take the credentials that are kept for it"
                : "the registry wants to know who asks, and no credentials are kept for it",
            at: "\(origin.host)",
            suggestion:
                "sign in with docker, podman or skopeo, which write ~/.docker/config.json or auth.json, "
                + "or name another file with --auth-file")
    }

    /// Asks the token server that a challenge names (distribution's token and OAuth 2 specs).
    private func token(_ challenge: Challenge, _ scopes: Set<Scope>, _ credential: Credential?) async throws
        -> Token
    {
        guard let realm = challenge.parameters["realm"] else {
            throw Failure(
                .notSignedIn, "the registry names no token server", at: "\(origin)",
                suggestion: "set `realm` in its settings for token authentication")
        }
        var address = try WebAddress(parsing: realm)
        guard address.origin.isSecure || !origin.isSecure else {
            throw Failure(
                .registryRefused,
                "the registry's token server speaks plain http, where a token would be seen",
                at: "\(address)", suggestion: "set its realm to an https:// address")
        }
        // In the clear, a password goes to nobody but the host that it is kept for.
        let isTold = address.origin.isSecure || address.origin.host.name == origin.host.name
        let credential = isTold ? credential : nil
        let service = challenge.parameters["service"]
        var headers = HTTPHeaders()
        var payload = Payload.none
        var method = HTTPMethod.GET
        if case .identityToken(let secret) = credential {
            var fields = [("grant_type", "refresh_token"), ("client_id", "kiln"), ("refresh_token", secret)]
            if let service { fields.append(("service", service)) }
            fields.append(("scope", scopes.sorted().map(\.description).joined(separator: " ")))
            let form = fields.map { "\($0)=\(WebAddress.encode($1))" }.joined(separator: "&")
            headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            payload = .bytes(Array(form.utf8))
            method = .POST
        } else {
            if let service { address = address.adding("service", service) }
            for scope in scopes.sorted() { address = address.adding("scope", scope.description) }
            if case .password(let user, let password) = credential {
                headers.add(name: "Authorization", value: Connection.basic(user, password))
                address = address.adding("account", user)
            }
        }
        let asked = address
        let answer = try await retrying {
            Answer(
                response: try await transport.execute(method, asked, headers: headers, payload: payload),
                address: asked)
        } trouble: { answer in
            RetryPolicy.passing.contains(answer.status)
                ? .status(
                    answer.status,
                    retryAfter: answer.header("Retry-After").flatMap {
                        RetryPolicy.retryAfter($0, now: world.now())
                    }) : nil
        }
        if answer.status == 401 || answer.status == 403 {
            await answer.drain()
            throw notSignedIn(credential != nil)
        }
        guard answer.status == 200 else { throw await Refusal.failure(answer, "asking for a token") }
        return try TokenAnswer.parse(try await answer.body(limit: TokenAnswer.limit), place: "\(address)")
    }
}
