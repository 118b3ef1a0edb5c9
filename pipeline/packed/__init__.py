"""The packed store: annotated pictures as every stage after `preprocess` reads them."""
