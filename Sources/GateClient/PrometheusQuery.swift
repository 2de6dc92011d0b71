internal import AsyncHTTPClient
internal import Foundation
package import Model

/// What a query gave.
package enum QueryValue: Hashable, Sendable {
    case value(Double)
    /// No data, no single number, or nobody who answers.
    case none(reason: String)

    /// Whether the value is within the query's bounds. What is not a number passes and fails nothing.
    func answer(to query: MetricQuery) -> GateAnswer {
        switch self {
        case .none(let reason): return .unanswered(reason: reason)
        case .value(let value) where value.isNaN:
            return .unanswered(reason: "\(query.query) at \(query.server) is not a number")
        case .value(let value):
            let found = "\(query.query) at \(query.server) is \(value)"
            if let least = query.least, value * 1000 < Double(least) {
                return .failed(reason: "\(found); at least \(Double(least) / 1000) is allowed")
            }
            if let most = query.most, value * 1000 > Double(most) {
                return .failed(reason: "\(found); at most \(Double(most) / 1000) is allowed")
            }
            return .passed(detail: found)
        }
    }
}

extension GateClient {
    /// Asks Prometheus once, by its HTTP API's instant queries.
    package func value(of query: MetricQuery) async -> QueryValue {
        var server = query.server
        while server.hasSuffix("/") { server.removeLast() }
        let text = query.query.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let request = HTTPClientRequest(url: "\(server)/api/v1/query?query=\(text)")
        let reply: Reply
        do {
            reply = try await exchange(request, timeout: patience.answer, reading: Limit.words)
        } catch {
            return .none(reason: "\(server): \(error.reason)")
        }
        guard let answer = try? JSONDecoder().decode(PrometheusAnswer.self, from: Data(reply.body)) else {
            return .none(reason: "\(server) answered \(reply.status), with \(reply.shown)")
        }
        guard let data = answer.data else {
            return .none(reason: "\(server): \(answer.error ?? "the query failed")")
        }
        switch data.values.count {
        case 0: return .none(reason: "\(query.query) at \(server) has no data")
        case 1: return .value(data.values[0])
        case let count:
            return .none(
                reason:
                    "\(query.query) at \(server) gives \(count) values; one is needed, such as sum() gives")
        }
    }
}

/// An answer of `/api/v1/query`, as Prometheus documents it.
private struct PrometheusAnswer: Decodable {
    var data: Result?
    var error: String?

    struct Result: Decodable {
        var values: [Double]

        enum CodingKeys: String, CodingKey {
            case resultType, result
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            switch try container.decode(String.self, forKey: .resultType) {
            case "scalar": values = [try container.decode(Sample.self, forKey: .result).value]
            case "vector": values = try container.decode([Element].self, forKey: .result).map(\.value.value)
            case let type:
                throw DecodingError.dataCorruptedError(
                    forKey: .resultType, in: container, debugDescription: "\(type) is not one value")
            }
        }
    }

    struct Element: Decodable {
        var value: Sample
    }

    /// `[time, "value"]`.
    struct Sample: Decodable {
        var value: Double

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            _ = try container.decode(Double.self)
            let text = try container.decode(String.self)
            // `NaN`, `+Inf` and `-Inf` are values too.
            guard let value = Double(text) else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "\(text) is not a number")
            }
            self.value = value
        }
    }
}
