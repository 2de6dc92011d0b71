import ssl

from flask import Flask

application = Flask(__name__)


@application.get("/")
def price():
    authorities = ssl.create_default_context().cert_store_stats()["x509_ca"]
    return f"six times seven is {6 * 7}, trusting {'some' if authorities else 'no'} authorities\n"


@application.get("/health")
def health():
    return "ok\n"
