import Foundation
import ImageFormat
import Model
import NIOHTTP1
import Synchronization
import TestWeb
import TestKit

/// A registry in this process, by the distribution spec: uploads in one piece and in chunks, mounts, tokens,
/// referrers. It behaves, unless it is told not to.
final class RegistryDouble: Sendable {
    enum Fault: Sendable {
        case status(Int, headers: [String: String] = [:])
        /// The right head, and this share of the body in per cent; then no connection.
        case cut(percent: Int)
        /// This body in place of the right one.
        case body([UInt8])
        /// What was asked for is done, and nobody hears of it.
        case silence
    }

    enum SignIn: Sendable {
        case none
        case basic(user: String, password: String)
        /// Tokens from the registry's own `/token`; each holds for so many uses.
        case token(user: String?, password: String, uses: Int)
    }

    struct Blob: Sendable { var type = "application/octet-stream"; var bytes: [UInt8] }

    struct State: Sendable {
        var blobs: [String: [UInt8]] = [:]
        var manifests: [String: Blob] = [:]
        var uploads: [String: [UInt8]] = [:]
        var tokens: [String: (scopes: [String], uses: Int)] = [:]
        var asked: [WebServer.Asked] = []
        var counter = 0
    }

    struct Behaviour: Sendable {
        var signIn = SignIn.none
        var listsReferrers = true
        var claimsReferrers = true
        var mounts = true
        var ranges = true
        /// Blobs are fetched from here.
        var blobsElsewhere: String?
        var smallestChunk: Int?
        /// Asked before everything; `number` counts the requests that look the same.
        var fault: @Sendable (_ asked: WebServer.Asked, _ number: Int) -> Fault? = { _, _ in nil }
    }

    private final class Box: Sendable {
        let state = Mutex(State())
        let behaviour: Behaviour
        init(_ behaviour: Behaviour) { self.behaviour = behaviour }
    }

    private let box: Box
    private let server: WebServer
    var address: String { server.address }
    var asked: [WebServer.Asked] { box.state.withLock { $0.asked } }
    var state: State {
        get { box.state.withLock { $0 } }
    }

    init(_ behaviour: Behaviour = Behaviour()) async throws {
        let box = Box(behaviour)
        self.box = box
        server = try await WebServer { RegistryDouble.answer($0, box) }
    }

    func change(_ body: (inout State) -> Void) { box.state.withLock { body(&$0) } }
    func forgetRequests() { change { $0.asked = [] } }
    func blob(_ digest: Digest, in repository: String) -> [UInt8]? { state.blobs["\(repository)@\(digest)"] }
    func manifest(_ name: String, in repository: String) -> Blob? { state.manifests["\(repository)@\(name)"] }

    /// Puts a small image there, as somebody else would.
    @discardableResult
    func put(_ image: TestImage, as tag: String, in repository: String) -> Digest {
        change { state in
            for blob in image.blobs { state.blobs["\(repository)@\(Digest.sha256(blob))"] = blob }
            let blob = Blob(type: image.type, bytes: image.manifest)
            state.manifests["\(repository)@\(tag)"] = blob
            state.manifests["\(repository)@\(image.digest)"] = blob
        }
        return image.digest
    }

    private static func answer(_ asked: WebServer.Asked, _ box: Box) -> WebServer.Answer {
        let number = box.state.withLock { state in
            state.asked.append(asked)
            return state.asked.count { $0.method == asked.method && $0.path == asked.path }
        }
        let fault = box.behaviour.fault(asked, number)
        if case .status(let status, let headers) = fault { return WebServer.Answer(status, headers) }
        if let refusal = box.state.withLock({ refusal(asked, &$0, box.behaviour.signIn) }) { return refusal }
        var answer = box.state.withLock { respond(asked, &$0, box.behaviour) }
        switch fault {
        case .cut(let percent): answer.sent = answer.body.count * percent / 100
        case .body(let bytes): answer.body = bytes
        case .silence: answer.isSilent = true
        default: break
        }
        return answer
    }

    private static func refusal(_ asked: WebServer.Asked, _ state: inout State, _ signIn: SignIn) -> WebServer
        .Answer?
    {
        let header = asked.headers["authorization"].first
        func basic(_ user: String, _ password: String) -> String {
            "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
        }
        switch signIn {
        case .none: return nil
        case .basic(let user, let password):
            return header == basic(user, password)
                ? nil : WebServer.Answer(401, ["www-authenticate": "Basic realm=\"double\""])
        case .token(let user, let password, let uses):
            let host = asked.headers["host"].first ?? ""
            if asked.path == "/token" {
                if let user, header != basic(user, password),
                    !asked.text.contains("refresh_token=\(password)")
                {
                    return WebServer.Answer(401)
                }
                state.counter += 1
                let query =
                    asked.query
                    + (asked.text.isEmpty ? [] : asked.text.split(separator: "&").map(String.init))
                let scopes = query.filter { $0.hasPrefix("scope=") }.map { String($0.dropFirst(6)) }
                state.tokens["t\(state.counter)"] = (scopes, uses)
                return WebServer.Answer(
                    200, body: Array(#"{"token": "t\#(state.counter)", "expires_in": 300}"#.utf8))
            }
            let repository = asked.repository ?? ""
            let isPush = !["GET", "HEAD"].contains(asked.method)
            if let token = header?.dropFirst("Bearer ".count).description, let known = state.tokens[token],
                known.uses > 0,
                known.scopes.contains(where: {
                    $0.contains("repository:\(repository):") && (!isPush || $0.contains("push"))
                })
            {
                state.tokens[token]?.uses -= 1
                return nil
            }
            return WebServer.Answer(
                401, ["www-authenticate": "Bearer realm=\"http://\(host)/token\",service=\"double\""])
        }
    }

    private static func respond(_ asked: WebServer.Asked, _ state: inout State, _ behaviour: Behaviour)
        -> WebServer.Answer
    {
        guard let repository = asked.repository else { return WebServer.Answer(404) }
        let parts = asked.path.dropFirst("/v2/\(repository)/".count).split(separator: "/").map(String.init)
        switch (parts.first, parts.count) {
        case ("manifests", 2): return manifest(asked, repository, parts[1], &state, behaviour)
        case ("referrers", 2):
            guard behaviour.listsReferrers else { return WebServer.Answer(404) }
            return referrers(repository, parts[1], state)
        case ("blobs", 2...) where parts[1] == "uploads":
            return upload(asked, repository, parts.dropFirst(2).joined(), &state, behaviour)
        case ("blobs", 2): return blob(asked, repository, parts[1], state, behaviour)
        default: return WebServer.Answer(404)
        }
    }

    private static func manifest(
        _ asked: WebServer.Asked, _ repository: String, _ name: String, _ state: inout State,
        _ behaviour: Behaviour
    ) -> WebServer.Answer {
        let key = "\(repository)@\(name)"
        if asked.method == "PUT" {
            let digest = Digest.sha256(asked.body)
            if name.hasPrefix("sha256:"), name != "\(digest)" { return WebServer.Answer(400) }
            let blob = Blob(type: asked.headers["content-type"].first ?? "", bytes: asked.body)
            state.manifests[key] = blob
            state.manifests["\(repository)@\(digest)"] = blob
            var headers = ["docker-content-digest": "\(digest)"]
            let json = try? JSONValue(parsing: asked.body)
            if behaviour.claimsReferrers, let subject = json?["subject"]?["digest"]?.text {
                headers["oci-subject"] = subject
            }
            return WebServer.Answer(201, headers)
        }
        guard let found = state.manifests[key] else {
            return WebServer.Answer(
                404,
                body: Array(
                    #"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest\nunknown"}]}"#.utf8))
        }
        return WebServer.Answer(
            200, ["content-type": found.type, "docker-content-digest": "\(Digest.sha256(found.bytes))"],
            body: found.bytes)
    }

    private static func referrers(_ repository: String, _ subject: String, _ state: State) -> WebServer.Answer
    {
        var found: [Digest: OCIDescriptor] = [:]
        for (key, blob) in state.manifests where key.hasPrefix("\(repository)@sha256:") {
            let json = try? JSONValue(parsing: blob.bytes)
            guard json?["subject"]?["digest"]?.text == subject else { continue }
            let digest = Digest.sha256(blob.bytes)
            found[digest] = OCIDescriptor(mediaType: blob.type, digest: digest, size: blob.bytes.count)
            found[digest]?.artifactType = json?["artifactType"]?.text
        }
        let sorted = found.values.sorted { $0.digest < $1.digest }
        return WebServer.Answer(
            200, ["content-type": OCIDescriptor.indexType], body: OCIIndex(manifests: sorted).bytes)
    }

    private static func blob(
        _ asked: WebServer.Asked, _ repository: String, _ digest: String, _ state: State,
        _ behaviour: Behaviour
    ) -> WebServer.Answer {
        guard let bytes = state.blobs["\(repository)@\(digest)"] else { return WebServer.Answer(404) }
        if asked.method == "GET", let elsewhere = behaviour.blobsElsewhere {
            return WebServer.Answer(307, ["location": "\(elsewhere)/\(digest)?sig=1"])
        }
        if behaviour.ranges,
            let range = asked.headers["range"].first?.dropFirst("bytes=".count).split(separator: "-"),
            let first = Int(range[0]), let last = Int(range[1])
        {
            return WebServer.Answer(
                206, ["content-range": "bytes \(first)-\(last)/\(bytes.count)"],
                body: Array(bytes[first...last]))
        }
        return WebServer.Answer(200, body: bytes)
    }

    private static func upload(
        _ asked: WebServer.Asked, _ repository: String, _ id: String, _ state: inout State,
        _ behaviour: Behaviour
    ) -> WebServer.Answer {
        func item(_ name: String) -> String? {
            asked.query.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
        }
        func progress(_ id: String) -> [String: String] {
            let count = state.uploads[id]?.count ?? 0
            var headers = [
                "location": "/v2/\(repository)/blobs/uploads/\(id)?_state=\(count)",
                "range": "0-\(max(count - 1, 0))",
            ]
            if let smallest = behaviour.smallestChunk { headers["oci-chunk-min-length"] = "\(smallest)" }
            return headers
        }
        if asked.method == "POST" {
            if let mount = item("mount"), let from = item("from"), behaviour.mounts,
                let bytes = state.blobs["\(from)@\(mount)"]
            {
                state.blobs["\(repository)@\(mount)"] = bytes
                return WebServer.Answer(201, ["location": "/v2/\(repository)/blobs/\(mount)"])
            }
            state.counter += 1
            let id = "u\(state.counter)"
            state.uploads[id] = []
            return WebServer.Answer(202, progress(id))
        }
        guard let held = state.uploads[id] else { return WebServer.Answer(404) }
        switch asked.method {
        case "GET": return WebServer.Answer(204, progress(id))
        case "DELETE":
            state.uploads[id] = nil
            return WebServer.Answer(204)
        case "PATCH":
            // The address carries what the registry knew: an old one is a client that did not listen.
            guard item("_state") == "\(held.count)",
                asked.headers["content-range"].first == "\(held.count)-\(held.count + asked.body.count - 1)"
            else { return WebServer.Answer(416, progress(id)) }
            state.uploads[id] = held + asked.body
            return WebServer.Answer(202, progress(id))
        case "PUT":
            let bytes = held + asked.body
            guard let digest = item("digest"), "\(Digest.sha256(bytes))" == digest else {
                return WebServer.Answer(
                    400, body: Array(#"{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}"#.utf8))
            }
            state.uploads[id] = nil
            state.blobs["\(repository)@\(digest)"] = bytes
            return WebServer.Answer(201, ["location": "/v2/\(repository)/blobs/\(digest)"])
        default: return WebServer.Answer(405)
        }
    }
}

extension WebServer.Asked {
    var path: String { String(uri.prefix { $0 != "?" }) }
    var query: [String] {
        uri.dropFirst(path.count + 1).split(separator: "&").map { String($0).removingPercentEncoding ?? "" }
    }
    var text: String { String(decoding: body, as: UTF8.self).removingPercentEncoding ?? "" }

    /// `a/b` of `/v2/a/b/manifests/latest`.
    var repository: String? {
        uri.prefixMatch(of: #/\/v2\/(.+?)\/(manifests|blobs|referrers)\//#).map { String($0.1) }
    }
}
