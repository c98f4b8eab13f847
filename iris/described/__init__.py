"""OpenAPI: what Iris says of itself, made from what it is made of.

Routes say which parameters they take, what they give and why they refuse; types and columns are written
out as JSON Schema; what a column is, and which rule it keeps, the database says. Nothing is typed twice.
"""
